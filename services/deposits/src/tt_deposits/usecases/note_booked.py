"""What billing says that it has booked: the deposit is credited, or is in suspense for good.

Invariant: an answer is believed only where it is the one to what was asked: same deposit, entry, account and amount. Others change
nothing; they are logged and counted, because only a person can say which side is wrong.
"""

import logging
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from tt_common.bus.consumer import StreamPosition
from tt_common.contracts.deposit_events import DepositBooked
from tt_deposits.domain.booking import Mismatch, mismatch
from tt_deposits.domain.changes import Changes
from tt_deposits.domain.records import Deposit
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.write_changes import write_changes

log = logging.getLogger(__name__)

Refusal = Literal["unreadable"] | Mismatch
REFUSALS: Final[tuple[Refusal, ...]] = ("unreadable", *get_args(Mismatch))

_decoder: Final = msgspec.json.Decoder(DepositBooked)


class Delivery(msgspec.Struct, frozen=True):
    """One message of the stream."""

    sequence: int
    payload: bytes


async def note_booked(
    context: Context, deliveries: Sequence[Delivery], stream: str, created: str, not_below: int = 0
) -> set[int]:
    """A batch in one transaction with the stream's position. Returns the sequences of answers that were refused.

    Raises on any database error: nothing was noted. `not_below` is the highest position that this process has committed;
    DatabaseWentBack where the database has a lower one.
    """
    answers, refused = _read(deliveries)
    async with context.database.begin() as unit:
        deposits = await unit.lock_deposits({answer.deposit_id for _, answer in answers})
        changes = Changes(context.rules, context.now_ms())
        for sequence, answer in answers:
            refusal = _note(changes, deposits.get(answer.deposit_id), answer)
            if refusal is not None:
                refused[sequence] = refusal
        await write_changes(unit, changes)
        position = StreamPosition(created, max(delivery.sequence for delivery in deliveries))
        await unit.save_position(stream, position, not_below)
        context.crash("before_booked_commit")
    if changes.events:
        context.poke_outbox()
    ids = {sequence: answer.deposit_id for sequence, answer in answers}
    for sequence, refusal in refused.items():
        context.metrics.refused_answers.labels(refusal).inc()
        log.error(
            "billing's answer refused",
            extra={"stream_sequence": sequence, "reason": refusal, "deposit_id": ids.get(sequence, "")},
        )
    return set(refused)


def _read(deliveries: Sequence[Delivery]) -> tuple[list[tuple[int, DepositBooked]], dict[int, Refusal]]:
    answers: list[tuple[int, DepositBooked]] = []
    refused: dict[int, Refusal] = {}
    for delivery in deliveries:
        try:
            answer = _decoder.decode(delivery.payload)
            answer.deposit_id.encode()
        except (msgspec.DecodeError, ValueError):
            refused[delivery.sequence] = "unreadable"
            continue
        if "\x00" in answer.deposit_id + answer.transaction_id:
            refused[delivery.sequence] = "unreadable"
            continue
        answers.append((delivery.sequence, answer))
    return answers, refused


def _note(changes: Changes, deposit: Deposit | None, answer: DepositBooked) -> Refusal | None:
    refusal = mismatch(deposit, answer.entry, answer.account_id, answer.amount_nanousd)
    if refusal is None and deposit is not None and answer.entry == deposit.entry and not deposit.booked:
        changes.book(deposit, answer.transaction_id, answer.booked_at_ms)
    return refusal
