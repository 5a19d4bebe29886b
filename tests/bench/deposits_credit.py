"""How soon after its block is solid a deposit is in the ledger, and in the console's records: the whole product on a chain by time.

Nothing is pinned. Deposits asks its nodes as often as by default, once a second; the chain makes a block a second.
"""

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.billing_load import WrongBooks
from tests.support.chain import SOLID_LAG, Chain
from tests.support.console import ConsoleUser
from tests.support.waiting import eventually
from tt_sandbox.stack import Stack

DEPOSITS: Final = 30
EVERY_S: Final = 1.13
"""Not a multiple of the block's second, so that the block's and the scanner's beats are met in every order."""
SCANNER_POLL_S: Final = "1.0"
USDT: Final = 1_000_000
NANOUSD_PER_MICRO_USDT: Final = 1_000
CREDITED_S_MAX: Final = 60.0
AIM_S: Final = 5.0
POLL_S: Final = 0.02
MS_PER_S: Final = 1_000
HEADER: Final = "| from the solid block served | p50 | p95 | max | aim |\n| --- | --- | --- | --- | --- |"


@dataclass
class Timing:
    """Seconds for each deposit."""

    what: str
    seconds: list[float] = field(default_factory=list)

    def row(self) -> str:
        percentiles = statistics.quantiles(self.seconds, n=100, method="inclusive")
        figures = [f"{value:.2f} s" for value in (percentiles[49], percentiles[94], max(self.seconds))]
        return f"| {self.what} | {' | '.join(figures)} | {AIM_S:.0f} s |"


@dataclass(frozen=True)
class _Sent:
    txid: str
    height: int
    amount_micro_usdt: int


def measure_credit(folder: Path) -> list[Timing]:
    """Raises WrongBooks, also where the reconciliation of billing or deposits is not clean."""
    with Stack(folder, env={"deposits": {"DEPOSITS_POLL_S": SCANNER_POLL_S}}) as stack, Chain(stack.chain_url) as chain:
        with ConsoleUser(stack.console_url).sign_up() as user:
            timings = _watch(chain, user)
        for owner in ("billing", "deposits"):
            done = stack.command(owner, "reconcile")
            if done.returncode != 0:
                raise WrongBooks(f"reconcile of {owner}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return timings


def _watch(chain: Chain, user: ConsoleUser) -> list[Timing]:
    """Sends one after the other and looks at balance and records all the while."""
    address = eventually(lambda: _address(user), "a deposit address")
    before_nanousd = user.balance_nanousd
    in_ledger, in_records = Timing("in the ledger (balance)"), Timing("`credited` in the console's records")
    sent: list[_Sent] = []
    began = time.monotonic()
    while len(in_ledger.seconds) < DEPOSITS or len(in_records.seconds) < DEPOSITS:
        if len(sent) < DEPOSITS and time.monotonic() - began >= len(sent) * EVERY_S:
            amount = (10 + len(sent)) * USDT
            made = chain.send(address, amount)
            sent.append(_Sent(made["txid"], made["block"], amount))
        booked = _how_many(sent, user.balance_nanousd - before_nanousd)
        _note(chain, sent, in_ledger, booked)
        credited = {record["txid"] for record in user.get("/deposits/records", state="credited", limit=100)["data"]}
        _note(chain, sent, in_records, sum(item.txid in credited for item in sent))
        if time.monotonic() - began > DEPOSITS * EVERY_S + CREDITED_S_MAX:
            raise WrongBooks(
                f"{len(in_ledger.seconds)} of {DEPOSITS} are in the ledger, {len(in_records.seconds)} credited"
            )
        time.sleep(POLL_S)
    _compare(chain, user, sent, before_nanousd)
    return [in_ledger, in_records]


def _address(user: ConsoleUser) -> str | None:
    """None while no address is ready."""
    answer = user.http.get("/deposits/address")
    return answer.json()["address"] if answer.is_success else None


def _how_many(sent: list[_Sent], nanousd: int) -> int:
    """Which number of the deposits, in their order, makes that sum. Raises WrongBooks where none does."""
    total = 0
    for number, item in enumerate([*sent, None]):
        if total == nanousd:
            return number
        total += 0 if item is None else item.amount_micro_usdt * NANOUSD_PER_MICRO_USDT
    raise WrongBooks(f"{nanousd} nanoUSD were credited, which is no sum of what was sent")


def _note(chain: Chain, sent: list[_Sent], timing: Timing, number: int) -> None:
    """The time of those that are new among the first `number`."""
    now_s = time.time()
    for item in sent[len(timing.seconds) : number]:
        timing.seconds.append(now_s - _served_at_s(chain, item.height))


def _served_at_s(chain: Chain, height: int) -> float:
    """A block is served as solid from the moment that the block SOLID_LAG above it is made."""
    head = chain.ask("wallet/getblockbynum", num=height + SOLID_LAG)
    return head["block_header"]["raw_data"]["timestamp"] / MS_PER_S


def _compare(chain: Chain, user: ConsoleUser, sent: list[_Sent], before_nanousd: int) -> None:
    """Raises WrongBooks unless chain, records and balance tell the same transfers."""
    told = sorted(
        (entry["txid"], moved["amount_micro_usdt"]) for entry in chain.record() for moved in entry["movements"]
    )
    records = user.pages("/deposits/records")
    kept = sorted((record["txid"], record["amount_micro_usdt"]) for record in records if record["state"] == "credited")
    if (
        told != kept
        or told != sorted((item.txid, item.amount_micro_usdt) for item in sent)
        or len(records) != len(told)
    ):
        raise WrongBooks(f"the chain has {len(told)} transfers, {len(kept)} of {len(records)} records are credited")
    nanousd = user.balance_nanousd - before_nanousd
    if nanousd != NANOUSD_PER_MICRO_USDT * sum(item.amount_micro_usdt for item in sent):
        raise WrongBooks(f"{nanousd} nanoUSD were credited")
