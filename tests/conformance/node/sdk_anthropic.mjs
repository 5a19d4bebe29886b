// Anthropic's SDK for Node: messages, streams put together by the SDK's own helper.

import Anthropic, { AnthropicError } from "@anthropic-ai/sdk";
import { TIMEOUT_MS, failing, given } from "./talk.mjs";

const STOP = { end_turn: "end", stop_sequence: "stop", max_tokens: "length", tool_use: "tool", refusal: "refusal" };
const THINKING_TOKENS = 1024;
// What the API takes back of what it gave.
const KNOWN = {
  text: ["type", "text"],
  tool_use: ["type", "id", "name", "input"],
  thinking: ["type", "thinking", "signature"],
  redacted_thinking: ["type", "data"],
};

export class AnthropicMessages {
  constructor({ url, key }) {
    this.messages = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0, timeout: TIMEOUT_MS }).messages;
  }

  async ask(model, ask, stream) {
    const request = given({
      model,
      max_tokens: ask.limit,
      messages: ask.turns.map(message),
      system: ask.system,
      tools: ask.tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema })),
      tool_choice: ask.force && { type: "tool", name: ask.force },
      thinking: ask.thinking ? { type: "enabled", budget_tokens: THINKING_TOKENS } : null,
      stop_sequences: ask.stop,
      output_config: ask.schema && { format: { type: "json_schema", schema: ask.schema } },
    });
    const texts = [];
    const answer = await failing((error) => error instanceof AnthropicError, texts, () => {
      if (!stream) return this.messages.create(request);
      const runner = this.messages.stream(request);
      runner.on("text", (delta) => texts.push(delta));
      return runner.finalMessage();
    });
    const { usage } = answer;
    const of = (type) => answer.content.filter((block) => block.type === type);
    const read = usage.cache_read_input_tokens ?? 0;
    return {
      text: of("text").map((block) => block.text).join(""),
      reason: STOP[answer.stop_reason],
      calls: of("tool_use").map(({ id, name, input }) => ({ id, name, arguments: input })),
      thought: of("thinking").map((block) => block.thinking).join(""),
      prompt_tokens: usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + read,
      cached_tokens: read,
      output_tokens: usage.output_tokens,
      native: answer.content.map((block) => Object.fromEntries(KNOWN[block.type].map((name) => [name, block[name]]))),
    };
  }
}

function message(turn) {
  if (turn.kind === "user") return { role: "user", content: parts(turn) };
  if (turn.kind === "said") return { role: "assistant", content: turn.native };
  return {
    role: "user",
    content: turn.of.map((result) => ({
      type: "tool_result",
      tool_use_id: result.call.id,
      is_error: result.isError,
      content: parts(result),
    })),
  };
}

function parts({ text, png }) {
  const said = [{ type: "text", text }];
  return png ? [...said, { type: "image", source: { type: "base64", media_type: "image/png", data: png } }] : said;
}
