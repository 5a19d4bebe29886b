"""Several edges on one wallet with latency, lost requests and lost replies: never more than there is, in the end all of it back."""

import asyncio
import random

import pytest

from tests.unit.edge.billing_model import BillingModel
from tests.unit.edge.samples import key
from tt_common.errors import DomainError
from tt_edge.credit.grants import Need
from tt_edge.credit.keeper import CreditKeeper

CALLS = 60
EDGES = 4
PLENTY = 10_000_000
WAIT_S = 5
SCARCE = "billing_shortfall"
"""The one reason to refuse anybody: contention of edges for the same money is none."""


async def one_call(
    rng: random.Random, keeper: CreditKeeper, key_id: str, number: int, refused: set[str]
) -> tuple[str, int]:
    """A call with a random hold, sometimes extended, sometimes never happening; its outcome and cost; refusals go to `refused`."""
    await asyncio.sleep(rng.random() * 0.1)
    need = rng.randrange(1, 3_000)
    try:
        hold = await keeper.reserve(key(key_id=key_id), f"h{number}", Need(need, 1))
    except DomainError as error:
        refused.add(error.code)
        return error.code, 0
    await asyncio.sleep(rng.random() * 0.02)
    if rng.random() < 0.2:
        try:
            await keeper.extend(hold, rng.randrange(1, 500))
        except DomainError as error:
            refused.add(error.code)
    if rng.random() < 0.1:
        keeper.release(hold)
        return "released", 0
    cost = rng.randrange(0, hold.amount_nanousd + 1)
    keeper.settle(hold, cost, 1)
    return "settled", cost


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("wallet", [3_000, 60_000, PLENTY])
@pytest.mark.parametrize("seed", [1, 2])
async def test_holds_never_exceed_the_wallet_and_in_the_end_all_is_given_back(
    seed: int, wallet: int, loss: float
) -> None:
    # given four edges and three keys on a wallet, over a bad connection (the model checks its invariant at each step)
    rng = random.Random(seed)
    billing = BillingModel(wallet, seed)
    billing.latency_s, billing.loss, billing.extra = 0.002, loss, 2_000
    keepers = [billing.keeper(wait_s=WAIT_S) for _ in range(EDGES)]

    # when they all call at once, with upkeep going on
    refused: set[str] = set()
    calls = [
        one_call(rng, keeper, f"key_{rng.randrange(3)}", number, refused)
        for keeper in keepers
        for number in range(CALLS)
    ]
    upkeep = asyncio.create_task(keep_up(keepers))
    outcomes = await asyncio.gather(*calls)
    upkeep.cancel()
    await asyncio.gather(upkeep, return_exceptions=True)

    # then nobody is refused where there is plenty, and elsewhere only for money
    assert "settled" in {code for code, _ in outcomes}
    assert refused <= ({SCARCE} if wallet < PLENTY else set())

    # and after the end every nanoUSD that was not spent is in the wallet again, every event announced
    await asyncio.gather(*(keeper.close(5) for keeper in keepers))
    assert [keeper.open_grants for keeper in keepers] == [0] * EDGES
    assert billing.free == wallet - sum(cost for _, cost in outcomes)
    assert all(held.closed for held in billing.grants.values())
    events = sum(held.final_events or 0 for held in billing.grants.values())
    assert events == sum(code == "settled" for code, _ in outcomes)


async def keep_up(keepers: list[CreditKeeper]) -> None:
    while True:
        for keeper in keepers:
            await keeper.upkeep()
        await asyncio.sleep(0.02)
