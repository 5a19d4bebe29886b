"""One grant and the holds on it: plain arithmetic, no I/O, times handed in.

What was granted only grows and comes from billing; what was given back only grows and is decided here; so a give-back and an
answer of billing may cross. Invariant: granted - given back >= spent + reserved, unless real usage outgrew a hold. A slice
of a rate limit is used only inside the window it was cut from.
"""

from typing import Final

import msgspec

from tt_common.contracts.grants import GrantReply, KeyTerms, ShrinkGrant, Slices

REFRESH_SHARE: Final = 0.2
FRUITLESS_S: Final = 1.0
"""A change that brought nothing more is not tried again at once."""


class Hold:
    """One call's reservation. `amount_nanousd` may grow with a long stream; `tokens` count against the window they were taken in."""

    __slots__ = ("amount_nanousd", "grant", "id", "tokens", "window")

    def __init__(self, hold_id: str, grant: "Grant", amount_nanousd: int, tokens: int, window: int) -> None:
        self.id = hold_id
        self.grant = grant
        self.amount_nanousd = amount_nanousd
        self.tokens = tokens
        self.window = window


class Grant:
    """A slice of one wallet for one key on this edge. All times are seconds of the monotonic clock."""

    __slots__ = (
        "available_nanousd",
        "back",
        "back_nanousd",
        "changing",
        "chunk_nanousd",
        "closed",
        "created_at",
        "doubtful",
        "events",
        "granted",
        "granted_nanousd",
        "hard_expires_at",
        "holds",
        "id",
        "in_use",
        "key",
        "last_nanousd",
        "last_tokens",
        "last_used_at",
        "limits_remaining",
        "low_requests",
        "low_tokens",
        "refresh_not_before",
        "reserved_nanousd",
        "revision",
        "soft_expires_at",
        "soft_ttl_s",
        "spent_nanousd",
        "used_requests",
        "used_tokens",
        "window",
        "window_ends_at",
    )

    def __init__(self, grant_id: str, key: KeyTerms, now: float) -> None:
        self.id = grant_id
        self.key = key
        self.revision = 0
        self.granted_nanousd = 0
        self.back_nanousd = 0
        self.spent_nanousd = 0
        self.reserved_nanousd = 0
        self.chunk_nanousd = 0
        self.available_nanousd = 0
        self.events = 0
        self.holds = 0
        self.soft_ttl_s = 0.0
        self.soft_expires_at = 0.0
        self.hard_expires_at = 0.0
        self.created_at = now
        self.last_used_at = now
        self.last_nanousd = 0
        self.last_tokens = 0
        self.window = 0
        self.window_ends_at = 0.0
        self.granted = Slices()
        self.back = Slices()
        self.limits_remaining = Slices()
        self.low_requests = 0
        self.low_tokens = 0
        self.refresh_not_before = 0.0
        self.used_requests = 0
        self.used_tokens = 0
        self.in_use = 0
        self.changing = False
        self.closed = False
        self.doubtful = False
        """A request was never answered: billing may have opened the grant."""

    @property
    def free_nanousd(self) -> int:
        """What the next hold may take; below 0 where real usage outgrew its hold."""
        return self.granted_nanousd - self.back_nanousd - self.spent_nanousd - self.reserved_nanousd

    @property
    def opened(self) -> bool:
        """Whether billing has ever answered for it."""
        return self.soft_ttl_s > 0

    def wants_refresh(self, now: float) -> bool:
        """A fifth is left of the money or of a slice of the last change, or too little for another call like the last one: time to ask
        for more before one has to wait for it.
        """
        if self.changing or now < self.refresh_not_before:
            return False
        return (
            self.free_nanousd < self.chunk_nanousd * REFRESH_SHARE
            or self.free_nanousd < self.last_nanousd
            or self.requests_are_low(now)
            or self.tokens_are_low(now)
        )

    def requests_are_low(self, now: float) -> bool:
        """Of this window's slice of requests a fifth is left, or none."""
        if self.key.requests_per_minute is None or now >= self.window_ends_at:
            return False
        return self.granted.requests - self.back.requests - self.used_requests < max(self.low_requests, 1)

    def tokens_are_low(self, now: float) -> bool:
        """Of this window's slice of tokens a fifth is left, or less than the last call took."""
        if self.key.tokens_per_minute is None or now >= self.window_ends_at:
            return False
        return self.granted.tokens - self.back.tokens - self.used_tokens < max(self.low_tokens, self.last_tokens)

    def slices_in_hand(self) -> Slices:
        """What this grant has of the key's limits; requests and tokens only mean something inside the window."""
        granted, back = self.granted, self.back
        return Slices(
            requests=granted.requests - back.requests,
            tokens=granted.tokens - back.tokens,
            concurrency=granted.concurrency - back.concurrency,
        )

    def admits(self, now: float) -> bool:
        """Whether new calls may be admitted on it at all."""
        return not self.closed and self.revision > 0 and now < self.soft_expires_at

    def missing_slices(self, tokens: int, now: float) -> Slices:
        """What of the key's rate limits must be granted before a call of `tokens` fits; all zero when it fits now."""
        key, has = self.key, self.slices_in_hand()
        in_window = now < self.window_ends_at
        requests = missing_tokens = concurrency = 0
        if key.requests_per_minute is not None:
            requests = max(0, self.used_requests + 1 - has.requests) if in_window else 1
        if key.tokens_per_minute is not None:
            missing_tokens = max(0, self.used_tokens + tokens - has.tokens) if in_window else max(tokens, 1)
        if key.concurrency is not None:
            concurrency = max(0, self.in_use + 1 - has.concurrency)
        return Slices(requests=requests, tokens=missing_tokens, concurrency=concurrency)

    def reserve(self, hold_id: str, need_nanousd: int, tokens: int, now: float) -> Hold | None:
        """A hold, or None where money or slices are missing."""
        if not self.admits(now) or need_nanousd > self.free_nanousd:
            return None
        key = self.key
        limited = (
            key.requests_per_minute is not None or key.tokens_per_minute is not None or key.concurrency is not None
        )
        if limited and self.missing_slices(tokens, now) != NO_SLICES:
            return None
        self.reserved_nanousd += need_nanousd
        self.used_requests += 1
        self.used_tokens += tokens
        self.in_use += 1
        self.holds += 1
        self.last_used_at = now
        self.last_nanousd = need_nanousd
        self.last_tokens = tokens
        return Hold(hold_id, self, need_nanousd, tokens, self.window)

    def grow(self, hold: Hold, extra_nanousd: int) -> bool:
        """Give a hold more from what is free here."""
        if self.closed or extra_nanousd > self.free_nanousd:
            return False
        self.reserved_nanousd += extra_nanousd
        hold.amount_nanousd += extra_nanousd
        return True

    def settle(self, hold: Hold, cost_nanousd: int, tokens: int, now: float) -> None:
        """The call became one event of that cost; what it really used replaces the estimate."""
        self._end(hold, now)
        self.spent_nanousd += cost_nanousd
        self.events += 1
        if hold.window == self.window:
            self.used_tokens = max(0, self.used_tokens + tokens - hold.tokens)

    def release(self, hold: Hold, now: float) -> None:
        """The call never happened: no event, and its share of the limits is given back too."""
        self._end(hold, now)
        if hold.window == self.window:
            self.used_requests = max(0, self.used_requests - 1)
            self.used_tokens = max(0, self.used_tokens - hold.tokens)

    def _end(self, hold: Hold, now: float) -> None:
        self.reserved_nanousd -= hold.amount_nanousd
        self.in_use -= 1
        self.holds -= 1
        self.last_used_at = now

    def apply(self, reply: GrantReply, sent_at: float) -> None:
        """Take over billing's state after a change. Expiries count from when the request was sent."""
        gained_nanousd = max(reply.granted_nanousd - self.granted_nanousd, 0)
        self.chunk_nanousd = gained_nanousd or self.chunk_nanousd
        self.granted_nanousd = max(self.granted_nanousd, reply.granted_nanousd)
        self.available_nanousd = reply.available_nanousd
        self.soft_ttl_s = reply.soft_ttl_s
        self.soft_expires_at = sent_at + reply.soft_ttl_s
        self.hard_expires_at = sent_at + reply.hard_ttl_s
        if reply.window != self.window:
            self.window = reply.window
            self.used_requests = self.used_tokens = 0
            self.granted = Slices(concurrency=self.granted.concurrency)
            self.back = Slices(concurrency=self.back.concurrency)
            self.low_requests = self.low_tokens = 0
        self.window_ends_at = sent_at + reply.window_remaining_s
        gained_requests = reply.slices.requests - self.granted.requests
        gained_tokens = reply.slices.tokens - self.granted.tokens
        if gained_requests > 0:
            self.low_requests = int(gained_requests * REFRESH_SHARE)
        if gained_tokens > 0:
            self.low_tokens = int(gained_tokens * REFRESH_SHARE)
        if gained_nanousd <= 0 and gained_requests <= 0 and gained_tokens <= 0:
            self.refresh_not_before = sent_at + FRUITLESS_S
        self.granted = Slices(
            requests=max(self.granted.requests, reply.slices.requests),
            tokens=max(self.granted.tokens, reply.slices.tokens),
            concurrency=max(self.granted.concurrency, reply.slices.concurrency),
        )
        self.limits_remaining = reply.limits_remaining

    def shrink(self, *, final: bool) -> ShrinkGrant:
        """Give back everything that is neither spent nor reserved, here and now; the message tells billing."""
        self.back_nanousd += max(0, self.free_nanousd)
        has, back = self.slices_in_hand(), self.back
        self.back = Slices(
            requests=back.requests + max(0, has.requests - self.used_requests),
            tokens=back.tokens + max(0, has.tokens - self.used_tokens),
            concurrency=back.concurrency + max(0, has.concurrency - self.in_use),
        )
        self.closed = self.closed or final
        return ShrinkGrant(
            grant_id=self.id,
            account_id=self.key.account_id,
            key_id=self.key.key_id,
            given_back_nanousd=self.back_nanousd,
            granted_seen_nanousd=self.granted_nanousd,
            window=self.window,
            given_back=self.back,
            requests_seen=self.granted.requests,
            final_events=self.events if final else None,
        )


class Need(msgspec.Struct, frozen=True):
    """What a call wants reserved."""

    nanousd: int
    tokens: int


NO_SLICES = Slices()
