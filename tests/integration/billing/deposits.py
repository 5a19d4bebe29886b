"""Deposits as the deposits service asks for them, and billing's answers."""

import msgspec

from tests.integration.billing.conftest import USD, Billing, eventually
from tt_common.contracts.deposit_events import DepositBooked, DepositConfirmed
from tt_common.contracts.streams import BILLING, deposits_subject

DEPOSIT = 25 * USD
COUNT = "SELECT count(*) FROM ledger WHERE source = 'deposit'"


async def confirm(billing: Billing, *events: DepositConfirmed | bytes) -> None:
    """As the deposits service's outbox, without the headers that nobody reads."""
    js = billing.nc.jetstream()
    for event in events:
        account_id = "acc_1" if isinstance(event, bytes) else event.account_id
        payload = event if isinstance(event, bytes) else msgspec.json.encode(event)
        await js.publish(deposits_subject("deposit_confirmed", account_id), payload)


async def in_billing(billing: Billing, subject: str) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bodies of what the stream BILLING has of a subject."""
    js = billing.nc.jetstream()
    last = (await js.stream_info(BILLING.name)).state.last_seq
    kept = [await js.get_msg(BILLING.name, seq) for seq in range(1, last + 1)]
    return [(m.headers or {}, m.data or b"") for m in kept if m.subject and m.subject.startswith(subject)]


async def answers(billing: Billing) -> list[DepositBooked]:
    said = await in_billing(billing, "billing.v1.deposit_booked.")
    return [msgspec.json.decode(body, type=DepositBooked) for _, body in said]


async def answered(billing: Billing, number: int) -> list[DepositBooked]:
    """Waits until billing has answered that often in all."""

    async def enough() -> bool:
        return len(await answers(billing)) >= number

    await eventually(enough)
    return await answers(billing)
