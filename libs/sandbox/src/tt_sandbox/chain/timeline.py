"""Which height the chain has at a moment, and when each block was made: spans that follow each other without a gap.

Invariant: once a block is there, its time never changes, whatever the settings of a later run.
"""

from bisect import bisect_right
from dataclasses import replace
from typing import Final

from tt_sandbox.chain.store import Filled, Span, Store

REAL_STEP_MS: Final = 3_000
# A chain driven by command begins this long ago, so that its first blocks can be three seconds apart and not of the future.
PAST_MS: Final = 3_600_000
SPANS_MAX: Final = 100_000


class TooMuch(Exception):
    """A limit of the sandbox is reached."""


class Timeline:
    """The spans of one chain. `step_ms` is the time between blocks, 0 where they come by command."""

    def __init__(self, store: Store, step_ms: int, start_height: int, now_ms: int) -> None:
        self._store = store
        self._step_ms = step_ms
        self._spans = store.spans()
        self._head = store.head() or 0
        self._highest = 0
        if not self._spans:
            self._begin(start_height, now_ms)
        elif (last := self._spans[-1]).running != (step_ms > 0) or (step_ms and last.step_ms != step_ms):
            self._change(now_ms)

    @property
    def by_command(self) -> bool:
        return self._step_ms == 0

    def head(self, now_ms: int) -> int:
        """The height of the last block. Never falls, also when the clock does."""
        last = self._spans[-1]
        height = last.first + (now_ms - last.first_ms) // last.step_ms if last.running else self._head
        # A running span may begin in a moment: until then the head is the block before it.
        self._highest = max(self._highest, height, last.first - 1 if last.running else 0)
        return self._highest

    def timestamp_ms(self, height: int) -> int:
        """When a block was made, or will be at the present pace."""
        span = self._spans[bisect_right(self._spans, height, key=lambda span: span.first) - 1]
        return span.first_ms + (height - span.first) * span.step_ms

    def make(self, count: int, transactions: int, now_ms: int) -> Filled | None:
        """The next `count` blocks, the last of them now, each filled with so many unrelated transactions. Raises TooMuch."""
        if len(self._spans) >= SPANS_MAX:
            raise TooMuch(f"a chain takes {SPANS_MAX} commands to make blocks; make several at once")
        first, last_ms = self._head + 1, self.timestamp_ms(self._head)
        step_ms = max(1, min(REAL_STEP_MS, (now_ms - last_ms) // count))
        first_ms = max(last_ms + step_ms, now_ms - (count - 1) * step_ms)
        filled = Filled(first, count, transactions) if transactions else None
        self._add(Span(first, first_ms, step_ms, running=False), first + count - 1, filled)
        return filled

    def _begin(self, start_height: int, now_ms: int) -> None:
        step_ms = self._step_ms or REAL_STEP_MS
        start_ms = (now_ms if self._step_ms else now_ms - PAST_MS) // step_ms * step_ms
        self._add(Span(0, start_ms - start_height * REAL_STEP_MS, REAL_STEP_MS, running=False), start_height)
        if self._step_ms:
            self._add(Span(start_height + 1, start_ms + step_ms, step_ms, running=True), start_height)

    def _change(self, now_ms: int) -> None:
        """The pace is another than in the run before."""
        head = self.head(now_ms)
        if self._step_ms:
            first_ms = max(self.timestamp_ms(head) + 1, now_ms)
            self._add(Span(head + 1, first_ms, self._step_ms, running=True), head)
        else:
            self._store.stop(head)
            self._stop_running(head)

    def _add(self, span: Span, head: int, filled: Filled | None = None) -> None:
        self._store.add_span(span, head, filled)
        self._stop_running(head)
        if self._spans and self._spans[-1].first == span.first:
            self._spans.pop()  # it ended before its first block
        self._spans.append(span)

    def _stop_running(self, head: int) -> None:
        if self._spans:
            self._spans[-1] = replace(self._spans[-1], running=False)
        self._head = head
