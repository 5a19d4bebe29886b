"""Webhooks: whom we tell of what, how a message is signed, how often we try.

Signing is that of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, keyed with the bytes that the secret's
base64 part holds. Invariant: a secret is in no message, log or audit entry; it leaves once, in the answer that makes it.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from tt_common.errors import DomainError
from tt_common.provider_access import Network, ProviderUrl, is_address, is_among, is_private, parse_provider_url

ENDPOINTS_PER_ACCOUNT_MAX: Final = 10
URL_LENGTH_MAX: Final = 2_000
DESCRIPTION_LENGTH_MAX: Final = 200
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- no secret, what one begins with
SECRET_BYTES: Final = 32
PREVIOUS_SECRET_MS: Final = 24 * 3_600_000
"""After a rotation both secrets sign for so long, so that a receiver can change over without losing a message."""
RETRY_DELAYS_S: Final = (5, 30, 120, 600, 3_600, 21_600, 86_400, 86_400)
"""Between one try and the next; after the last one the delivery has failed."""
JITTER: Final = 0.2
DISABLE_AFTER_MS: Final = 3 * 86_400_000
"""An endpoint that nothing reached for so long is disabled."""
UNREACHABLE_REASON: Final = "nothing was delivered for 3 days"
OWNER_REASON: Final = "disabled by its owner"

EventName = Literal[
    "deposit.detected",
    "deposit.credited",
    "deposit.held",
    "deposit.below_minimum",
    "deposit.orphaned",
]
EVENT_NAMES: Final[tuple[EventName, ...]] = get_args(EventName)
TEST_EVENT: Final = "webhook.test"
EndpointStatus = Literal["active", "disabled", "deleted"]
DeliveryStatus = Literal["pending", "delivered", "failed"]
Failure = Literal[
    "", "http_status", "timeout", "connection_failed", "tls_failed", "name_not_found", "address_refused", "bad_answer"
]
Outcome = Literal["delivered", "retried", "failed"]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account wants to be told. `failing_since_ms`: nothing was delivered since."""

    id: str
    account_id: str
    url: str
    description: str
    events: tuple[EventName, ...]
    status: EndpointStatus
    disabled_reason: str
    secret: str
    previous_secret: str | None
    previous_until_ms: int | None
    failing_since_ms: int | None
    created_at_ms: int
    updated_at_ms: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one endpoint. `tries` counts since it was last asked for, `attempts` all there were."""

    id: str
    endpoint_id: str
    account_id: str
    event_id: str
    event_type: str
    body: str
    status: DeliveryStatus
    tries: int
    attempts: int
    next_attempt_at_ms: int | None
    created_at_ms: int
    finished_at_ms: int | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One POST and what came of it; the answer's text is never kept."""

    at_ms: int
    duration_ms: int
    status_code: int | None
    error: Failure


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is told, once for every endpoint that wants it."""

    id: str
    account_id: str
    type: str
    body: str


def new_secret() -> str:
    """`whsec_` and 256 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, b"%b.%d.%b" % (message_id.encode(), timestamp_s, body), "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def signing_secrets(endpoint: Endpoint, now_ms: int) -> tuple[str, ...]:
    """The secret, and the one before it while a rotation is fresh."""
    if endpoint.previous_secret is None or (endpoint.previous_until_ms or 0) <= now_ms:
        return (endpoint.secret,)
    return (endpoint.secret, endpoint.previous_secret)


def rotated(endpoint: Endpoint, secret: str, now_ms: int) -> Endpoint:
    """Under a new secret; the old one signs as well for a day."""
    return msgspec.structs.replace(
        endpoint,
        secret=secret,
        previous_secret=endpoint.secret,
        previous_until_ms=now_ms + PREVIOUS_SECRET_MS,
        updated_at_ms=now_ms,
    )


def with_status(endpoint: Endpoint, status: EndpointStatus, reason: str, now_ms: int) -> Endpoint:
    """Active, disabled for a reason, or deleted, which erases its secrets."""
    changed = msgspec.structs.replace(
        endpoint, status=status, disabled_reason=reason, failing_since_ms=None, updated_at_ms=now_ms
    )
    if status != "deleted":
        return changed
    return msgspec.structs.replace(changed, secret="", previous_secret=None, previous_until_ms=None)


def tried(delivery: Delivery, attempt: Attempt, chance: float, now_ms: int) -> tuple[Delivery, Outcome]:
    """The delivery after an attempt, and what that was. `chance` in [0, 1) spreads the next try by ±20 %."""
    after = msgspec.structs.replace(delivery, attempts=delivery.attempts + 1, tries=delivery.tries + 1)
    if not attempt.error:
        return msgspec.structs.replace(
            after, status="delivered", next_attempt_at_ms=None, finished_at_ms=now_ms
        ), "delivered"
    if delivery.status != "pending" or after.tries > len(RETRY_DELAYS_S):
        finished_ms = delivery.finished_at_ms or now_ms
        status: DeliveryStatus = "failed" if delivery.status == "pending" else delivery.status
        return msgspec.structs.replace(
            after, status=status, next_attempt_at_ms=None, finished_at_ms=finished_ms
        ), "failed"
    delay_ms = round(RETRY_DELAYS_S[after.tries - 1] * 1_000 * (1 - JITTER + 2 * JITTER * chance))
    return msgspec.structs.replace(after, next_attempt_at_ms=now_ms + delay_ms), "retried"


def reached(endpoint: Endpoint, attempt: Attempt, now_ms: int) -> Endpoint:
    """The endpoint after an attempt: since when nothing reaches it, and disabled once that is too long."""
    if not attempt.error:
        return msgspec.structs.replace(endpoint, failing_since_ms=None)
    since_ms = endpoint.failing_since_ms or now_ms
    if endpoint.status == "active" and now_ms - since_ms >= DISABLE_AFTER_MS:
        return with_status(endpoint, "disabled", UNREACHABLE_REASON, now_ms)
    return msgspec.structs.replace(endpoint, failing_since_ms=since_ms)


def parse_webhook_url(url: str) -> ProviderUrl:
    """The URL's parts; a query may follow the path. Raises ValueError for what could be read in two ways."""
    base, _, query = url.partition("?")
    if any(not "!" <= character <= "~" or character in "#\\" for character in query):
        raise ValueError("a URL is in ASCII, without blanks and without a fragment")
    return parse_provider_url(base)


def check_webhook_url(url: str, networks: Sequence[Network]) -> None:
    """https to a public host; in one of `networks` anything. What a name leads to is looked at when connecting. Raises DomainError."""
    if len(url) > URL_LENGTH_MAX:
        raise DomainError("invalid_url", f"url: at most {URL_LENGTH_MAX} characters", param="url")
    try:
        parts = parse_webhook_url(url)
    except ValueError:
        text = "url: https://host[:port]/path, in ASCII, without user, password and fragment"
        raise DomainError("invalid_url", text, param="url") from None
    if is_private(parts.host, networks):
        raise DomainError("private_address", "url: a host on the public Internet", param="url")
    if not parts.tls and not may_be_plain(parts.host, networks):
        raise DomainError("invalid_url", "url: https", param="url")


def may_be_plain(host: str, networks: Sequence[Network]) -> bool:
    """Whether http without TLS will do: an address in `networks`, or a name that could lead there."""
    return is_among(host, networks) or (bool(networks) and not is_address(host))
