// OpenAI's SDK for Node: chat completions and the Responses API, streams put together by the SDK's own helpers.

import OpenAI, { OpenAIError } from "openai";
import { Failed, TIMEOUT_MS, failing, given } from "./talk.mjs";

const FINISH = { stop: "end", length: "length", tool_calls: "tool", content_filter: "refusal" };
// The helper for responses throws an error of the stream as the event that it is.
const isOpenAI = (error) => error instanceof OpenAIError || error.type === "error";

function client({ url, key }) {
  return new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0, timeout: TIMEOUT_MS });
}

export class OpenAIChat {
  constructor(options) {
    this.completions = client(options).chat.completions;
  }

  async ask(model, ask, stream) {
    const request = given({
      model,
      messages: messages(ask),
      max_completion_tokens: ask.limit,
      tools: ask.tools.map(({ name, description, schema }) => ({
        type: "function",
        function: { name, description, parameters: schema },
      })),
      tool_choice: ask.force && { type: "function", function: { name: ask.force } },
      reasoning_effort: ask.thinking ? "low" : null,
      stop: ask.stop,
      response_format: ask.schema && {
        type: "json_schema",
        json_schema: { name: "answer", schema: ask.schema, strict: true },
      },
    });
    const texts = [];
    const answer = await failing(isOpenAI, texts, () => {
      if (!stream) return this.completions.create(request);
      const runner = this.completions.stream({ ...request, stream_options: { include_usage: true } });
      runner.on("content", (delta) => texts.push(delta));
      return runner.finalChatCompletion();
    });
    const [{ message, finish_reason: finish }] = answer.choices;
    return {
      text: (message.content ?? "") + (message.refusal ?? ""),
      reason: message.refusal ? "refusal" : FINISH[finish],
      calls: (message.tool_calls ?? []).map((call) => ({
        id: call.id,
        name: call.function.name,
        arguments: JSON.parse(call.function.arguments),
      })),
      thought: (message.reasoning_details ?? []).map((detail) => detail.text ?? "").join(""),
      prompt_tokens: answer.usage.prompt_tokens,
      cached_tokens: answer.usage.prompt_tokens_details.cached_tokens,
      output_tokens: answer.usage.completion_tokens,
      native: withoutParsed(message),
    };
  }
}

// Without what the SDK's helper adds and the API doesn't take back.
function withoutParsed({ parsed, ...message }) {
  const calls = message.tool_calls?.map(({ function: { parsed_arguments, ...named }, ...call }) => ({ ...call, function: named }));
  return given({ ...message, tool_calls: calls });
}

function messages({ system, turns }) {
  const before = system == null ? [] : [{ role: "system", content: system }];
  return before.concat(
    turns.flatMap((turn) => {
      if (turn.kind === "user") return { role: "user", content: parts(turn) };
      if (turn.kind === "said") return turn.native;
      return turn.of.map(({ call, text }) => ({ role: "tool", tool_call_id: call.id, content: text }));
    }),
  );
}

function parts({ text, png }) {
  return png ? [{ type: "text", text }, { type: "image_url", image_url: { url: dataUrl(png) } }] : text;
}

function dataUrl(png) {
  return `data:image/png;base64,${png}`;
}

export class OpenAIResponses {
  constructor(options) {
    this.responses = client(options).responses;
  }

  async ask(model, ask, stream) {
    const request = given({
      model,
      input: ask.turns.flatMap(items),
      instructions: ask.system,
      max_output_tokens: ask.limit,
      store: false,
      tools: ask.tools.map(({ name, description, schema }) => ({
        type: "function",
        strict: false,
        name,
        description,
        parameters: schema,
      })),
      tool_choice: ask.force && { type: "function", name: ask.force },
      reasoning: ask.thinking ? { effort: "low", summary: "auto" } : null,
      include: ask.thinking ? ["reasoning.encrypted_content"] : null,
      text: ask.schema && { format: { type: "json_schema", name: "answer", schema: ask.schema, strict: true } },
    });
    const texts = [];
    const answer = await failing(isOpenAI, texts, () => (stream ? this.streamed(request, texts) : this.responses.create(request)));
    const calls = answer.output.filter((item) => item.type === "function_call");
    const refusals = answer.output.flatMap((item) => item.content ?? []).filter((part) => part.type === "refusal");
    return {
      text: answer.output_text + refusals.map((part) => part.refusal).join(""),
      reason: reasonOf(answer, calls, refusals),
      calls: calls.map((call) => ({ id: call.call_id, name: call.name, arguments: JSON.parse(call.arguments) })),
      thought: answer.output
        .flatMap((item) => (item.type === "reasoning" ? item.summary : []))
        .map((part) => part.text)
        .join(""),
      prompt_tokens: answer.usage.input_tokens,
      cached_tokens: answer.usage.input_tokens_details.cached_tokens,
      output_tokens: answer.usage.output_tokens,
      native: answer.output.map(({ status, parsed_arguments, ...item }) => item),
    };
  }

  // The helper makes a response of what came and leaves it to its caller to see whether that is a whole one.
  async streamed(request, texts) {
    const runner = this.responses.stream(request);
    runner.on("response.output_text.delta", ({ delta }) => texts.push(delta));
    const answer = await runner.finalResponse();
    if (!["completed", "incomplete"].includes(answer.status)) {
      throw new Failed(0, answer.error?.message ?? "the stream has no end", texts.join(""));
    }
    return answer;
  }
}

function reasonOf(answer, calls, refusals) {
  if (refusals.length > 0) return "refusal";
  if (answer.status === "incomplete") return answer.incomplete_details.reason === "max_output_tokens" ? "length" : "refusal";
  return calls.length > 0 ? "tool" : "end";
}

function items(turn) {
  if (turn.kind === "user") return [{ role: "user", content: inputs(turn) }];
  if (turn.kind === "said") return turn.native;
  return turn.of.map((result) => ({
    type: "function_call_output",
    call_id: result.call.id,
    output: result.png ? inputs(result) : result.text,
  }));
}

function inputs({ text, png }) {
  const said = [{ type: "input_text", text }];
  return png ? [...said, { type: "input_image", image_url: dataUrl(png), detail: "auto" }] : said;
}
