"""What reached the provider, call by call: the oracle that tests compare bills with.

Invariant: every call of a vendor's endpoint has one record from the moment its body is read, whatever happens to it.
Never grows past `CALLS_MAX`: the oldest finished calls go first.
"""

import time
from collections import deque
from typing import Any, NamedTuple

import orjson

CALLS_MAX = 1_000_000
PAGE_MAX = 100_000


class TokenCounts(NamedTuple):
    """What an answer is worth in classes that share nothing; only `reasoning` is inside another, `output`."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    server_tool_calls: int = 0
    images: int = 0
    audio_input: int = 0
    audio_output: int = 0
    seconds: int = 0
    characters: int = 0


NOTHING = TokenCounts()


class CallRecord(NamedTuple):
    """A finished call. Times are epoch seconds; `completion_tokens` and `chunks_sent` count what was really written.

    `counts` is what the whole answer is worth, `vendor_usage` the last usage object that was written, as JSON.
    """

    seq: int
    id: str
    label: str | None
    request_id: str | None
    path: str
    model: str
    stream: bool
    status: int
    prompt_tokens: int
    completion_tokens: int
    chunks_sent: int
    completed: bool
    client_disconnected: bool
    started_at: float
    ended_at: float | None
    traceparent: str | None
    dialect: str
    counts: TokenCounts
    vendor_usage: bytes | None
    audio_sent: int
    images_sent: int

    def as_json(self) -> dict[str, Any]:
        """The record for the tests: `usage` in common classes as far as it was written, `vendor_usage` as it was sent."""
        fields = self._asdict()
        counts = fields.pop("counts")
        written: dict[str, int] = {
            "output": self.completion_tokens,
            "reasoning": min(counts.reasoning, self.completion_tokens),
            "audio_output": fields.pop("audio_sent"),
            "images": fields.pop("images_sent"),
        }
        fields["usage"] = {**counts._asdict(), **written}
        fields["vendor_usage"] = None if self.vendor_usage is None else orjson.Fragment(self.vendor_usage)
        return fields


class Call:
    """A call in progress; mutable until `CallLog.close`."""

    __slots__ = (
        "audio_sent",
        "chunks_sent",
        "client_disconnected",
        "completed",
        "completion_tokens",
        "counts",
        "dialect",
        "id",
        "images_sent",
        "label",
        "model",
        "path",
        "prompt_tokens",
        "request_id",
        "retry_after_s",
        "seq",
        "started_at",
        "status",
        "stream",
        "traceparent",
        "vendor_usage",
    )

    def __init__(self, seq: int, path: str, request_id: str | None, traceparent: str | None, dialect: str) -> None:
        self.seq = seq
        self.path = path
        self.request_id = request_id
        self.traceparent = traceparent
        self.started_at = time.time()
        self.id = ""
        self.label: str | None = None
        self.model = ""
        self.stream = False
        self.status = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.chunks_sent = 0
        self.completed = False
        self.client_disconnected = False
        self.dialect = dialect
        self.counts = NOTHING
        self.retry_after_s: float | None = None
        self.vendor_usage: bytes | None = None
        self.audio_sent = 0
        self.images_sent = 0

    def expect(self, counts: TokenCounts) -> None:
        """Says what the whole answer will be worth; the output is counted as it is written."""
        self.counts = counts
        cached = counts.cache_read + counts.cache_write_5m + counts.cache_write_1h
        self.prompt_tokens = counts.input + cached + counts.audio_input

    def delivered(self) -> None:
        """Says that the whole answer was written."""
        counts = self.counts
        self.completion_tokens, self.audio_sent, self.images_sent = counts.output, counts.audio_output, counts.images

    def record(self, ended_at: float | None) -> CallRecord:
        """The call as it stands; `ended_at` None means it still runs."""
        return CallRecord(
            self.seq,
            self.id,
            self.label,
            self.request_id,
            self.path,
            self.model,
            self.stream,
            self.status,
            self.prompt_tokens,
            self.completion_tokens,
            self.chunks_sent,
            self.completed,
            self.client_disconnected,
            self.started_at,
            ended_at,
            self.traceparent,
            self.dialect,
            self.counts,
            self.vendor_usage,
            self.audio_sent,
            self.images_sent,
        )


class CallLog:
    """All calls of this process, running ones included."""

    def __init__(self, calls_max: int = CALLS_MAX) -> None:
        self._seq = 0
        self._running: dict[int, Call] = {}
        self._finished: deque[CallRecord] = deque(maxlen=calls_max)

    def open(self, path: str, request_id: str | None, traceparent: str | None = None, dialect: str = "openai") -> Call:
        """A new call with the next sequence number."""
        self._seq += 1
        call = Call(self._seq, path, request_id, traceparent, dialect)
        self._running[call.seq] = call
        return call

    def close(self, call: Call) -> None:
        """Freezes a call. After `clear` a call that was running then leaves no record."""
        if self._running.pop(call.seq, None) is not None:
            self._finished.append(call.record(time.time()))

    def since(self, seq: int, limit: int = PAGE_MAX) -> list[CallRecord]:
        """At most `limit` records with a sequence number above `seq`, in order; running calls have no `ended_at`."""
        found = [record for record in self._finished if record.seq > seq]
        found += [call.record(None) for call in self._running.values() if call.seq > seq]
        found.sort()
        return found[:limit]

    def clear(self) -> None:
        """Forgets all calls; sequence numbers go on."""
        self._running.clear()
        self._finished.clear()
