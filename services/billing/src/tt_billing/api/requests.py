"""What a request must be before a use case sees it: ids that can be stored, amounts that can be added.

Raises invalid_request.
"""

import re
from typing import Final

from tt_common.contracts.grants import ChangeGrant, CloseEpoch, EpochBeat, ShrinkGrants, Slices
from tt_common.contracts.wallets import (
    AdjustWallet,
    CaptureHold,
    ConfigureWallet,
    GetKeySpend,
    ListBookedDeposits,
    PlaceHold,
    PublishPrice,
)
from tt_common.errors import DomainError

AMOUNT_NANOUSD_MAX: Final = 10**16
"""Ten million dollars in one request."""
COUNT_MAX: Final = 10**12
REVISION_MAX: Final = 2**53
SHRINKS_MAX: Final = 5000
KEYS_MAX: Final = 1000
TEXT_MAX: Final = 1000
TTL_S_MAX: Final = 30 * 86_400

_ID: Final = re.compile(r"[A-Za-z0-9_.:@/+=-]{1,128}")


def check_change(request: ChangeGrant) -> None:
    check_ids(request.grant_id, request.key.key_id, request.key.account_id, request.edge_id, request.boot_epoch)
    _between(0, AMOUNT_NANOUSD_MAX, request.need_nanousd, request.queued_nanousd, request.want_nanousd)
    _slices(request.need)
    _slices(request.want)
    _between(0, 2**62, request.granted_seen_nanousd)
    _between(1, REVISION_MAX, request.revision)
    _between(0, REVISION_MAX, request.key.revision)
    key = request.key
    limits = (key.monthly_limit_nanousd, key.requests_per_minute, key.tokens_per_minute, key.concurrency)
    _between(0, 2**60, *(limit for limit in limits if limit is not None))


def check_shrinks(request: ShrinkGrants) -> None:
    if len(request.grants) > SHRINKS_MAX:
        raise _invalid(f"at most {SHRINKS_MAX} shrinks in one request")
    for shrink in request.grants:
        check_ids(shrink.grant_id, shrink.account_id, shrink.key_id)
        _between(0, 2**62, shrink.given_back_nanousd)
        _between(0, REVISION_MAX, shrink.window, shrink.requests_seen, shrink.final_events or 0)
        _slices(shrink.given_back)


def check_beat(request: EpochBeat | CloseEpoch) -> None:
    check_ids(request.edge_id, request.boot_epoch)
    _between(0, REVISION_MAX, request.last_seq)
    if isinstance(request, CloseEpoch):
        _between(-(2**62), 2**62, request.cost_nanousd)


def check_adjustment(request: AdjustWallet) -> None:
    check_ids(request.request_id, request.account_id)
    if request.amount_nanousd == 0:
        raise _invalid("an adjustment is not zero")
    _between(-AMOUNT_NANOUSD_MAX, AMOUNT_NANOUSD_MAX, request.amount_nanousd)
    _texts(request.reason, request.actor)


def check_configuration(request: ConfigureWallet) -> None:
    check_ids(request.account_id)
    _between(0, AMOUNT_NANOUSD_MAX, request.overdraft_nanousd, request.low_balance_nanousd or 0)


def check_hold(request: PlaceHold) -> None:
    check_ids(request.hold_id, request.account_id, request.key_id)
    _between(1, AMOUNT_NANOUSD_MAX, request.amount_nanousd)
    _between(1, TTL_S_MAX, request.ttl_s)
    _texts(request.reason)


def check_capture(request: CaptureHold) -> None:
    check_ids(request.hold_id, request.account_id)
    _between(0, AMOUNT_NANOUSD_MAX, request.amount_nanousd)
    _texts(request.price_version)


def check_price(request: PublishPrice) -> None:
    _texts(request.model, request.actor)
    _between(0, 2**60, request.starts_at_ms or 0)


def check_keys(request: GetKeySpend) -> None:
    if len(request.key_ids) > KEYS_MAX:
        raise _invalid(f"at most {KEYS_MAX} keys in one request")
    check_ids(*request.key_ids)


def check_page(request: ListBookedDeposits) -> None:
    _between(0, 2**62, request.after)


def check_ids(*ids: str) -> None:
    if any(_ID.fullmatch(name) is None for name in ids):
        raise _invalid("an id has 1 to 128 characters of A-Z a-z 0-9 _ . : @ / + = -")


def _slices(slices: Slices) -> None:
    _between(0, COUNT_MAX, slices.requests, slices.tokens, slices.concurrency)


def _between(low: int, high: int, *numbers: int) -> None:
    if any(not low <= number <= high for number in numbers):
        raise _invalid(f"a number is not between {low} and {high}")


def _texts(*texts: str) -> None:
    if any(len(text) > TEXT_MAX or "\x00" in text for text in texts):
        raise _invalid(f"a text has at most {TEXT_MAX} characters")


def _invalid(message: str) -> DomainError:
    return DomainError("invalid_request", message)
