"""The requests of the benchmark: prepared to the byte, and how to tell that an answer to them is whole."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from tests.bench.load import Target
from tt_sandbox.stack.ports import HOST

MODEL = "gpt-4o-mini"
# The role, the finish, the usage and [DONE] are the events of a stream besides its tokens.
FRAME_EVENTS = 4
EVENTS = 22
OUTPUT_TOKENS = EVENTS - FRAME_EVENTS
SYSTEM = (
    "You are a careful assistant. Answer in one short paragraph, name your sources, and say so where you are not sure. "
)
QUESTION = "What does a prepaid gateway do with the rest of a hold when a call used less than was estimated for it?"


@dataclass(frozen=True)
class Ask:
    """One kind of request. Without `prompt_tokens` the provider counts the prompt itself. `plain`: the provider is told elsewhere what
    to say, since the request will be translated.
    """

    stream: bool = False
    output_tokens: int = OUTPUT_TOKENS
    chunk_delay_ms: float = 0
    question: str = QUESTION
    prompt_tokens: int | None = None
    model: str = MODEL
    plain: bool = False

    def body(self) -> bytes:
        switches: dict[str, float] = {"output_tokens": self.output_tokens}
        if self.chunk_delay_ms:
            switches["chunk_delay_ms"] = self.chunk_delay_ms
        if self.prompt_tokens is not None:
            switches["prompt_tokens"] = self.prompt_tokens
        fields: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": self.question}],
            "max_tokens": max(64, self.output_tokens),
            "temperature": 0.2,
        }
        if not self.plain:
            fields["sandbox"] = switches
        if self.stream:
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode(fields)

    def is_whole(self, answer: bytes) -> bool:
        """Judges an answer, head included."""
        if self.stream:
            return answer.count(b"data: ") == self.output_tokens + FRAME_EVENTS and b"data: [DONE]\n\n" in answer
        return b'"usage":{' in answer and answer.endswith(b"}")

    def target(self, port: int, keys: Iterable[str]) -> Target:
        """One request a key, ready to be sent."""
        body = self.body()
        heads = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {key}\r\naccept: */*\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            for key in keys
        )
        return Target(HOST, port, [head.encode() + body for head in heads], self.is_whole)
