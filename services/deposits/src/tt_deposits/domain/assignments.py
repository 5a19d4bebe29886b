"""Which address is whose, as the stream ADDRESSES tells it, against what the database knows: what to take over, and what nobody may have.

Invariant: an address is one account's and an account has one address. Where two claim the same, nobody gets it: money that comes there
waits in suspense for a person.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.ids import derived_event_id
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.domain.records import GivenAddress

RESTORED: Final = "restored"
"""Why an address is skipped: it was ready before the database was restored. Taken over where the stream knows whose it is."""
CONFLICT: Final = "conflict"
"""Why an address is skipped: two accounts claim it, or it is an account's second one."""

Conflict = Literal["address_of_another", "second_address", "skipped"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An address in the database; `account_id` of None: nobody's."""

    index: int
    account_id: str | None
    skipped_reason: str


class Adoption(msgspec.Struct):
    """`adopted` are to be written, by index; `conflicts` are what nobody gets."""

    adopted: dict[int, AddressAssigned] = msgspec.field(default_factory=dict[int, AddressAssigned])
    conflicts: list[tuple[AddressAssigned, Conflict]] = msgspec.field(
        default_factory=list[tuple[AddressAssigned, Conflict]]
    )


def assigned_event(given: GivenAddress, account_id: str, network: str, fingerprint: str) -> AddressAssigned:
    """The event of an assignment: the same whenever it is said."""
    return AddressAssigned(
        id=derived_event_id("address_assigned", network, fingerprint, account_id, str(given.index)),
        account_id=account_id,
        index=given.index,
        address=address_text(given.address),
        network=network,
        xpub_fingerprint=fingerprint,
        checked_height=given.checked_height,
        assigned_at_ms=given.assigned_at_ms,
    )


def is_ours(event: AddressAssigned, key: AccountKey, network: str) -> bool:
    """Of this chain and this xpub, and the address is the one that the xpub has there."""
    if (event.network, event.xpub_fingerprint) != (network, key.fingerprint):
        return False
    try:
        return address_text(key.address(event.index)) == event.address
    except ValueError:
        return False


def compare(events: Sequence[AddressAssigned], known: Iterable[Claim]) -> Adoption:
    """What was said, oldest first, against the rows that the database has of these indexes and accounts."""
    by_index = {claim.index: claim for claim in known}
    index_of = {claim.account_id: claim.index for claim in by_index.values() if claim.account_id is not None}
    result = Adoption()
    for event in events:
        row = by_index.get(event.index)
        if row is not None and row.account_id == event.account_id:
            continue
        conflict = _conflict(row, index_of.get(event.account_id))
        if conflict is None:
            result.adopted[event.index] = event
            index_of[event.account_id] = event.index
        else:
            result.conflicts.append((event, conflict))
            result.adopted.pop(event.index, None)
            if row is not None and row.account_id is not None:
                del index_of[row.account_id]
        account_id, reason = (event.account_id, "") if conflict is None else (None, CONFLICT)
        by_index[event.index] = Claim(index=event.index, account_id=account_id, skipped_reason=reason)
    return result


def _conflict(row: Claim | None, other_index: int | None) -> Conflict | None:
    if row is not None and row.account_id is not None:
        return "address_of_another"
    if other_index is not None:
        return "second_address"
    if row is not None and row.skipped_reason not in ("", RESTORED):
        return "skipped"
    return None
