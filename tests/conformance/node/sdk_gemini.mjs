// Google's SDK for Node: generateContent; a stream's pieces are put together here, the SDK leaves it to its caller.

import { ApiError, GoogleGenAI } from "@google/genai";
import { Failed, TIMEOUT_MS, failing, given } from "./talk.mjs";

const FINISH = {
  STOP: "end",
  MAX_TOKENS: "length",
  SAFETY: "refusal",
  RECITATION: "refusal",
  PROHIBITED_CONTENT: "refusal",
  OTHER: "refusal",
};
// A broken stream is a plain Error there.
const isGoogles = (error) => error instanceof ApiError || error.constructor === Error;

export class GeminiContents {
  constructor({ url, key }) {
    this.models = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, timeout: TIMEOUT_MS } }).models;
  }

  async ask(model, ask, stream) {
    const functions = ask.tools.map(({ name, description, schema }) => ({
      name,
      description,
      parametersJsonSchema: schema,
    }));
    const config = given({
      systemInstruction: ask.system,
      maxOutputTokens: ask.limit,
      stopSequences: ask.stop,
      tools: functions.length > 0 ? [{ functionDeclarations: functions }] : null,
      toolConfig: ask.force && { functionCallingConfig: { mode: "ANY", allowedFunctionNames: [ask.force] } },
      thinkingConfig: ask.thinking ? { includeThoughts: true, thinkingBudget: 1024 } : null,
      responseMimeType: ask.schema && "application/json",
      responseJsonSchema: ask.schema,
    });
    const request = { model, contents: ask.turns.map(content), config };
    const pieces = [];
    const texts = [];
    await failing(isGoogles, texts, async () => {
      const answers = stream ? await this.models.generateContentStream(request) : [await this.models.generateContent(request)];
      for await (const piece of answers) {
        pieces.push(piece);
        texts.push(...partsOf(piece).filter((part) => !part.thought).map((part) => part.text ?? ""));
      }
    });
    return whole(pieces, texts.join(""));
  }
}

function whole(pieces, text) {
  const parts = pieces.flatMap(partsOf);
  const calls = parts.flatMap((part) => part.functionCall ?? []);
  const usage = pieces.findLast((piece) => piece.usageMetadata)?.usageMetadata;
  const reason = reasonOf(pieces);
  if (!reason) throw new Failed(0, "the stream has no end", text);
  return {
    text,
    reason: calls.length > 0 && reason === "end" ? "tool" : reason,
    calls: calls.map(({ id, name, args }) => ({ id: id ?? "", name, arguments: args ?? {} })),
    thought: parts.map((part) => (part.thought ? part.text : "")).join(""),
    prompt_tokens: usage.promptTokenCount ?? 0,
    cached_tokens: usage.cachedContentTokenCount ?? 0,
    output_tokens: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
    native: { role: "model", parts },
  };
}

function partsOf(piece) {
  return piece.candidates?.[0]?.content?.parts ?? [];
}

function reasonOf(pieces) {
  const finish = pieces.findLast((piece) => piece.candidates?.[0]?.finishReason)?.candidates[0].finishReason;
  if (finish) return FINISH[finish];
  return pieces.some((piece) => piece.promptFeedback?.blockReason) ? "refusal" : null;
}

function content(turn) {
  if (turn.kind === "user") {
    const picture = turn.png ? [{ inlineData: { mimeType: "image/png", data: turn.png } }] : [];
    return { role: "user", parts: [{ text: turn.text }, ...picture] };
  }
  if (turn.kind === "said") return turn.native;
  return {
    role: "user",
    parts: turn.of.map(({ call, text, isError }) => ({
      functionResponse: given({ id: call.id, name: call.name, response: { [isError ? "error" : "output"]: text } }),
    })),
  };
}
