"""What a request must be before a use case sees it: ids that can be stored and become subjects, amounts that can be added.

Raises invalid_request.
"""

import re
from typing import Final

from tt_common.contracts import deposits as d
from tt_common.errors import DomainError
from tt_deposits.domain.booking import AMOUNT_MICRO_USDT_MAX
from tt_deposits.domain.records import HOUSE

NOTE_MAX: Final = 200
ACTOR_MAX: Final = 320
"""An e-mail address; billing takes it with the entry that the actor decided."""
TEXT_MAX: Final = 1000
HEIGHT_MAX: Final = 2**53
INDEX_MAX: Final = 2**31
PAGE_MAX: Final = 10_000
"""Use cases cut what is asked for to what they give; more than this is a mistake."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def check_address(request: d.GetAddress) -> None:
    check_account(request.account_id)


def check_new_order(request: d.CreateOrder) -> None:
    check_ids(request.order_id)
    check_account(request.account_id)
    if request.amount_micro_usdt is not None:
        _between(1, AMOUNT_MICRO_USDT_MAX, request.amount_micro_usdt)
    _texts(NOTE_MAX, request.note)


def check_order(request: d.GetOrder) -> None:
    check_ids(request.order_id)
    check_account(request.account_id)


def check_orders(request: d.ListOrders) -> None:
    check_account(request.account_id)
    _page(request.limit, request.before)


def check_record(request: d.GetRecord) -> None:
    check_ids(request.deposit_id)
    if request.account_id is not None:
        check_account(request.account_id)


def check_records(request: d.ListRecords) -> None:
    if request.account_id is not None:
        check_account(request.account_id)
    if request.order_id is not None:
        check_ids(request.order_id)
    _page(request.limit, request.before)


def check_decision(request: d.Decide) -> None:
    """An assignment names an account, which is not the house; who decides says why."""
    check_ids(request.deposit_id)
    check_words(request.actor, request.reason)
    if (request.decision == "assign") != (request.account_id is not None):
        raise _invalid("assign, and nothing else, names an account")
    if request.account_id is not None:
        check_account(request.account_id)


def check_resume(request: d.ResumeScanner) -> None:
    check_words(request.actor, request.reason)


def check_rescan(request: d.StartRescan) -> None:
    check_ids(request.rescan_id)
    check_words(request.actor, request.reason)
    _between(0, HEIGHT_MAX, request.from_height, request.to_height)
    if request.to_height < request.from_height:
        raise _invalid("a range ends where it begins, or above")


def check_scanner(request: d.GetScanner) -> None:
    _between(0, PAGE_MAX, request.rescans_max)


def check_sweep(request: d.ExportSweep) -> None:
    _between(-1, INDEX_MAX, request.after)
    _between(1, PAGE_MAX, request.limit)


def check_reconciliation(request: d.RunReconciliation) -> None:
    check_words(request.actor)


def check_report(request: d.GetReconciliation) -> None:
    _between(0, PAGE_MAX, request.differences_max)


def check_account(account_id: str) -> None:
    check_ids(account_id)
    if account_id == HOUSE:
        raise _invalid("the house has no address and no orders")


def check_ids(*ids: str) -> None:
    if any(_ID.fullmatch(name) is None for name in ids):
        raise _invalid("an id has 1 to 128 characters of A-Z a-z 0-9 _ -")


def check_words(actor: str, reason: str = "-") -> None:
    """Who, and why."""
    if not actor.strip() or not reason.strip():
        raise _invalid("actor and reason are not empty")
    _texts(ACTOR_MAX, actor)
    _texts(TEXT_MAX, reason)


def _page(limit: int, before: str | None) -> None:
    _between(1, PAGE_MAX, limit)
    _texts(TEXT_MAX, before or "")


def _between(low: int, high: int, *numbers: int) -> None:
    if any(not low <= number <= high for number in numbers):
        raise _invalid(f"a number is not between {low} and {high}")


def _texts(characters_max: int, *texts: str) -> None:
    if any(len(text) > characters_max or "\x00" in text for text in texts):
        raise _invalid(f"a text has at most {characters_max} characters")


def _invalid(message: str) -> DomainError:
    return DomainError("invalid_request", message)
