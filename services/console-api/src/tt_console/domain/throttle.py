"""How often one may try: limits per subject (an email, an address, an account) in fixed windows.

An attempt is counted before it is checked, so that many at once can't slip through; a successful one is given back.
"""

from typing import Final, Literal

import msgspec

Attempt = Literal["login_email", "login_address", "signup_address", "webhook_send"]


class Limit(msgspec.Struct, frozen=True):
    """At most `attempts` in `window_s` seconds, counted from the first one."""

    attempts: int
    window_s: int


LIMITS: Final[dict[Attempt, Limit]] = {
    "login_email": Limit(10, 900),
    "login_address": Limit(100, 900),
    "signup_address": Limit(20, 3600),
    "webhook_send": Limit(60, 600),
}


def retry_after_s(count: int, window_ends_at_ms: int, now_ms: int, limit: Limit) -> int | None:
    """Seconds to wait when this attempt, the `count`-th, is one too many; None when it may go on."""
    if count <= limit.attempts:
        return None
    return max(1, -(-(window_ends_at_ms - now_ms) // 1000))
