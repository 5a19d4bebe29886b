// What the drivers of all SDKs share.

export const TIMEOUT_MS = 30_000;

// The SDK raised an error: its status (0 within a stream), its message, and the text that had come by then.
export class Failed extends Error {
  constructor(status, message, said = "") {
    super(message);
    this.status = status;
    this.said = said;
  }
}

// Calls `work`, which collects in `texts` what comes; errors of the SDK's own classes become Failed, all others stay what they are.
export async function failing(isOfTheSdk, texts, work) {
  try {
    return await work();
  } catch (error) {
    if (!isOfTheSdk(error)) throw error;
    const said = texts.join("");
    throw new Failed(said ? 0 : (error.status ?? 0), error.message, said);
  }
}

// Without the fields that weren't asked for.
export function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null && value.length !== 0));
}
