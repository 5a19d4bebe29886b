"""What reached the provider, call by call: the oracle that tests compare bills with.

Invariant: every chat and embedding call has one record from the moment its body is read, whatever happens to it.
Never grows past `CALLS_MAX`: the oldest finished calls go first.
"""

import time
from collections import deque
from typing import NamedTuple

CALLS_MAX = 1_000_000
PAGE_MAX = 100_000


class CallRecord(NamedTuple):
    """A finished call. Times are epoch seconds; `completion_tokens` and `chunks_sent` count what was really written."""

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


class Call:
    """A call in progress; mutable until `CallLog.close`."""

    __slots__ = (
        "chunks_sent",
        "client_disconnected",
        "completed",
        "completion_tokens",
        "id",
        "label",
        "model",
        "path",
        "prompt_tokens",
        "request_id",
        "seq",
        "started_at",
        "status",
        "stream",
        "traceparent",
    )

    def __init__(self, seq: int, path: str, request_id: str | None, traceparent: str | None) -> None:
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
        )


class CallLog:
    """All calls of this process, running ones included."""

    def __init__(self, calls_max: int = CALLS_MAX) -> None:
        self._seq = 0
        self._running: dict[int, Call] = {}
        self._finished: deque[CallRecord] = deque(maxlen=calls_max)

    def open(self, path: str, request_id: str | None, traceparent: str | None = None) -> Call:
        """A new call with the next sequence number."""
        self._seq += 1
        call = Call(self._seq, path, request_id, traceparent)
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
