// Asks through the vendors' SDKs for Node what Python's matrix tells it to: one JSON request a line on stdin, one JSON answer a line
// on stdout, in order. An answer is {said}, {failed} where the SDK raised an error, or {crashed} where this driver is wrong.
// URL and key come as JSON in the variable TOKENTALLY.

import { createInterface } from "node:readline";
import { AnthropicMessages } from "./sdk_anthropic.mjs";
import { GeminiContents } from "./sdk_gemini.mjs";
import { OpenAIChat, OpenAIResponses } from "./sdk_openai.mjs";
import { Failed } from "./talk.mjs";

const given = JSON.parse(process.env.TOKENTALLY);
const sdks = {
  "openai chat": new OpenAIChat(given),
  "openai responses": new OpenAIResponses(given),
  anthropic: new AnthropicMessages(given),
  "google-genai": new GeminiContents(given),
};

async function answer({ sdk, model, ask, stream }) {
  try {
    return { said: await sdks[sdk].ask(model, ask, stream) };
  } catch (error) {
    if (error instanceof Failed) return { failed: { status: error.status, message: error.message, said: error.said } };
    return { crashed: String(error?.stack ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
