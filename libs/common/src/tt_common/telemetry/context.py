"""W3C trace context, read and made by hand, because it stands in every call's way.

Invariant: whether a trace is sampled depends on its id alone (or on the caller's flag), so every service decides alike. Never
carries anything but ids and that flag.
"""

import random
import re
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_ID_BITS: Final = 64
_ID_MASK: Final = (1 << _ID_BITS) - 1


class TraceContext:
    """A place in a trace: lower-case hex ids. `parent_id` is empty for the first span of a trace."""

    __slots__ = ("parent_id", "sampled", "span_id", "trace_id")

    def __init__(self, trace_id: str, span_id: str, parent_id: str, sampled: bool) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.sampled = sampled

    @property
    def traceparent(self) -> str:
        """The header that names this place as the parent of what follows."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "TraceContext":
        """A new place in the same trace, below this one."""
        return TraceContext(self.trace_id, _span_id(), self.span_id, self.sampled)


def parse_traceparent(header: str | None) -> TraceContext | None:
    """The place that a header names; None where it is not W3C's form (version 00; what it says of later ones is not known)."""
    match = _FORM.fullmatch(header) if header else None
    if match is None:
        return None
    version, trace_id, span_id, flags = match.groups()
    if version == "ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, "", bool(int(flags, 16) & 1))


def sampling_bound(ratio: float) -> int:
    """`ratio` of 0 to 1 as the number that `begin` compares ids with. Raises ValueError for another ratio."""
    if not 0.0 <= ratio <= 1.0:
        raise ValueError("the ratio of sampled traces is between 0 and 1")
    return round(ratio * (1 << _ID_BITS))


def begin(header: str | None, bound: int) -> TraceContext | None:
    """Go on with the caller's trace, with its decision; else begin one where its random id says so.

    None for a call that nobody traces.
    """
    if header and (caller := parse_traceparent(header)) is not None:
        return caller.child()
    bits = random.getrandbits(2 * _ID_BITS)
    if (bits & _ID_MASK) >= bound or bits == 0:
        return None
    return TraceContext(f"{bits:032x}", _span_id(), "", True)


def new_trace() -> TraceContext:
    """A sampled trace of this process's own."""
    return TraceContext(f"{random.getrandbits(2 * _ID_BITS) or 1:032x}", _span_id(), "", True)


def _span_id() -> str:
    return f"{random.getrandbits(_ID_BITS) or 1:016x}"
