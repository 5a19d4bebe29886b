// The official OpenAI SDK for Node against a running edge. What is needed comes as JSON in the variable TOKENTALLY:
// base URL, keys with their limits, models and the provider's own door.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import OpenAI from "openai";

const given = JSON.parse(process.env.TOKENTALLY);
const MODEL = "gpt-4o-mini";
const messages = [{ role: "user", content: "Say hello." }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

function sdk(apiKey = given.key, options = {}) {
  return new OpenAI({ apiKey, baseURL: given.baseURL, maxRetries: 0, ...options });
}

const client = sdk();

async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

async function failure(promise, type) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof type, `expected ${type.name}, got ${error?.constructor?.name}: ${error}`);
    return error;
  }
  assert.fail(`expected ${type.name}, got an answer`);
}

test("a chat answer names the model that was asked for", async () => {
  const answer = await client.chat.completions.create({ model: "llama-3.1-70b", messages });
  assert.equal(answer.model, "llama-3.1-70b");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.cost > 0);
});

test("a stream's text equals the whole answer's", async () => {
  const whole = await client.chat.completions.create({ model: MODEL, messages });
  const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true });
  assert.equal(await textOf(stream), whole.choices[0].message.content);
});

test("include_usage puts usage and cost into the last chunk", async () => {
  const stream = await client.chat.completions.create({
    model: MODEL, messages, stream: true, stream_options: { include_usage: true },
  });
  let last;
  for await (const chunk of stream) last = chunk;
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
  assert.ok(last.usage.cost > 0);
});

test("the stream helper gathers the final completion", async () => {
  const runner = client.chat.completions.stream({ model: MODEL, messages });
  const final = await runner.finalChatCompletion();
  assert.ok(final.choices[0].message.content.length > 0);
});

test("a forced tool is called with arguments that parse", async () => {
  const answer = await client.chat.completions.create({ model: MODEL, messages, tools, tool_choice: "required" });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
});

test("a streamed tool call adds up", async () => {
  const runner = client.chat.completions.stream({ model: MODEL, messages, tools, tool_choice: "required" });
  const final = await runner.finalChatCompletion();
  assert.deepEqual(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });
});

test("JSON mode answers JSON", async () => {
  const answer = await client.chat.completions.create({
    model: MODEL, messages: [{ role: "user", content: "Say hello in JSON." }], response_format: { type: "json_object" },
  });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content), "object");
});

test("embeddings come as numbers, by default over base64", async () => {
  const packed = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"] });
  const plain = await client.embeddings.create({
    model: "text-embedding-3-small", input: ["one", "two"], encoding_format: "float",
  });
  assert.equal(packed.data.length, 2);
  assert.equal(packed.data[0].embedding.length, 1536);
  for (const [index, value] of packed.data[1].embedding.entries()) {
    assert.ok(Math.abs(value - plain.data[1].embedding[index]) < 1e-6);
  }
});

test("models are listed and retrieved", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes(MODEL));
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
});

test("raw responses carry the request id", async () => {
  const { response, request_id: requestId } = await client.chat.completions
    .create({ model: MODEL, messages })
    .withResponse();
  assert.equal(response.headers.get("x-tt-request-id"), requestId);
  assert.equal(response.headers.get("x-tt-provider"), "sandbox");
});

test("BadRequestError names the field", async () => {
  const error = await failure(client.chat.completions.create({ model: MODEL, messages, n: 0 }), OpenAI.BadRequestError);
  assert.equal(error.param, "n");
});

test("AuthenticationError for an unknown and for a disabled key", async () => {
  for (const key of ["sk-unknown", given.disabledKey]) {
    const error = await failure(
      sdk(key).chat.completions.create({ model: MODEL, messages }), OpenAI.AuthenticationError,
    );
    assert.equal(error.code, "invalid_api_key");
  }
});

test("PermissionDeniedError outside the key's model list", async () => {
  const error = await failure(
    sdk(given.narrowKey).chat.completions.create({ model: MODEL, messages }), OpenAI.PermissionDeniedError,
  );
  assert.equal(error.code, "model_not_allowed");
});

test("NotFoundError for a model and for a base URL without its /v1", async () => {
  const unknown = await failure(client.chat.completions.create({ model: "gpt-9", messages }), OpenAI.NotFoundError);
  assert.equal(unknown.code, "model_not_found");
  const bare = sdk(given.key, { baseURL: given.baseURL.replace(/\/v1$/, "") });
  const wrong = await failure(bare.chat.completions.create({ model: MODEL, messages }), OpenAI.NotFoundError);
  assert.match(wrong.message, /The path is \/v1\/chat\/completions/);
});

test("a 402 is an APIError that is not retried", async () => {
  let requests = 0;
  const counting = (url, init) => {
    requests += 1;
    return fetch(url, init);
  };
  const poor = sdk(given.poorKey, { maxRetries: 3, fetch: counting });
  const error = await failure(poor.chat.completions.create({ model: MODEL, messages }), OpenAI.APIError);
  assert.equal(error.status, 402);
  assert.equal(error.code, "billing_shortfall");
  assert.equal(requests, 1);
});

test("RateLimitError has Retry-After", async () => {
  const limited = sdk(given.limitedKey);
  await limited.chat.completions.create({ model: MODEL, messages });
  const error = await failure(limited.chat.completions.create({ model: MODEL, messages }), OpenAI.RateLimitError);
  assert.ok(Number(error.headers.get("retry-after")) >= 1);
});

test("UnprocessableEntityError for an Idempotency-Key with another body", async () => {
  const headers = { "Idempotency-Key": randomUUID() };
  await client.chat.completions.create({ model: MODEL, messages }, { headers });
  const error = await failure(
    client.chat.completions.create({ model: MODEL, messages, temperature: 0.5 }, { headers }),
    OpenAI.UnprocessableEntityError,
  );
  assert.equal(error.code, "idempotency_conflict");
});

test("ConflictError while a call with the same Idempotency-Key runs, then the replay", async () => {
  const headers = { "Idempotency-Key": randomUUID() };
  const body = { model: MODEL, messages, sandbox: { delay_ms: 1500 } };
  const first = client.chat.completions.create(body, { headers });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const error = await failure(client.chat.completions.create(body, { headers }), OpenAI.ConflictError);
  assert.ok(Number(error.headers.get("retry-after")) >= 1);
  const { data, response } = await client.chat.completions
    .create(body, { headers, maxRetries: 3 })
    .withResponse();
  assert.equal(response.headers.get("x-tt-idempotent-replay"), "true");
  assert.equal(data.id, (await first).id);
});

test("InternalServerError where every provider fails", async () => {
  const error = await failure(
    client.chat.completions.create({ model: given.spareModel, messages, sandbox: { fail_status: 500 } }),
    OpenAI.InternalServerError,
  );
  assert.equal(error.status, 503);
});

test("a provider's own refusal keeps its message", async () => {
  const sandbox = { fail_status: 400, fail_message: "the provider's own words" };
  const error = await failure(
    client.chat.completions.create({ model: MODEL, messages, sandbox }), OpenAI.BadRequestError,
  );
  assert.match(error.message, /the provider's own words/);
});

test("the SDK's retries reach a provider that recovers", async () => {
  const sandbox = { fail_times: 2, fail_key: randomUUID() };
  const answer = await sdk(given.key, { maxRetries: 2 }).chat.completions.create({
    model: given.spareModel, messages, sandbox,
  });
  assert.ok(answer.choices[0].message.content);
});

test("APIConnectionTimeoutError when the client's own time is up", async () => {
  await failure(
    sdk(given.key, { timeout: 500 }).chat.completions.create({ model: MODEL, messages, sandbox: { hang: true } }),
    OpenAI.APIConnectionTimeoutError,
  );
});

test("a stream that breaks off throws an APIError", async () => {
  for (const fault of [{ die_after_chunks: 3 }, { truncate: true }, { error_after_chunks: 3 }]) {
    const sandbox = { output_tokens: 20, ...fault };
    const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true, sandbox });
    await failure(textOf(stream), OpenAI.APIError);
  }
});
