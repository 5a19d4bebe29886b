"""Whatever nodes answer, and whenever the process dies: in the end the records are those of a scan to which nothing happened."""

import asyncio
import dataclasses
import os
from typing import Any, NamedTuple

import psycopg
from bip_utils import Bip44, Bip44Coins
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integration.deposits.conftest import SEED, USDT
from tests.integration.deposits.scanning import Watcher, watcher_on
from tests.support.chain import Chain
from tt_deposits.domain.base58 import address_text
from tt_deposits.settings import Settings
from tt_deposits.usecases import read_blocks

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0")) // 100 or 4
# What can be told from an empty block, and heals. Nodes that lie where nobody contradicts them have tests of their own.
FAULTS = ("error", "lite", "status", "cut", "not_json")
LIES = ("absent", "infos_empty", "infos_missing", "infos_other_block")
STALE = ("head_back", "head_stale", "solid_stops")
POINTS = ("block_read", "before_block_commit", "after_block_commit")
TABLES = "cursor, blocks, halt, halts, rescans, deposits, deposit_changes, outgoing_transfers, outbox, addresses"


class Act(NamedTuple):
    """One thing that happens; the meaning of `number` depends on what."""

    what: str
    word: str
    number: int


ACTS = st.one_of(
    st.builds(Act, st.just("send"), st.sampled_from(["acc_0", "acc_1", "nobody"]), st.integers(1, 3)),
    st.builds(Act, st.just("mine"), st.just(""), st.integers(1, 25)),
    st.builds(Act, st.just("fault"), st.sampled_from(FAULTS), st.integers(1, 12)),
    st.builds(Act, st.just("lie"), st.sampled_from(LIES), st.integers(1, 6)),
    st.builds(Act, st.just("stale"), st.sampled_from(STALE), st.integers(1, 12)),
    st.builds(Act, st.just("reorganise"), st.sampled_from(["drop", "move"]), st.integers(1, 6)),
    st.builds(Act, st.just("heal"), st.just(""), st.just(0)),
    st.builds(Act, st.just("scan"), st.just(""), st.integers(1, 3)),
    st.builds(Act, st.just("head"), st.just(""), st.just(1)),
    st.builds(Act, st.just("die"), st.sampled_from(POINTS), st.just(1)),
)


# One that has everything in it, whatever is drawn: every lie about a block that holds money, and a death at every point.
WORST = [
    act
    for lie, point in zip(LIES, (*POINTS, POINTS[0]), strict=True)
    for act in (
        Act("send", "acc_0", 2),
        Act("lie", lie, 5),
        Act("head", "", 1),
        Act("scan", "", 2),
        Act("send", "nobody", 1),
        Act("lie", lie, 3),
        Act("die", point, 1),
    )
]


class Killed(BaseException):
    """The process is gone."""


class World:
    """A scanner that is started again after each death, and what was sent to its addresses."""

    def __init__(self, chain: Chain, configuration: Settings, owner_url: str) -> None:
        self.chain = chain
        self.settings = configuration
        self.owner_url = owner_url
        self.before = len(chain.record())
        self.addresses: dict[str, str] = {}
        self.last_block = chain.head

    async def run(self, acts: list[Act]) -> tuple[list[Any], list[Any], list[int], list[int]]:
        """Found and expected records; heights gone through, and expected."""
        async with watcher_on(self.settings, self.chain, self.owner_url) as watcher:
            await watcher.begin()
            first = watcher.height()
            self.addresses = {name: await watcher.address(name) for name in ("acc_0", "acc_1")}
            self.addresses["nobody"] = address_text(watcher.context.key.address(2))
        remaining = list(acts)
        while remaining:
            async with watcher_on(self.settings, self.chain, self.owner_url) as watcher:
                try:
                    while remaining:
                        await self._do(watcher, remaining.pop(0))
                except Killed:
                    continue
        self.chain.heal()
        self.chain.solidify()
        async with watcher_on(self.settings, self.chain, self.owner_url) as watcher:
            await watcher.catch_up()
            last = watcher.height()
            return self._found(watcher), self._expected(), watcher.gone_through(), list(range(first, last + 1))

    async def _do(self, watcher: Watcher, act: Act) -> None:
        match act.what:
            case "send":
                to = self.addresses[act.word]
                transfers = [{"to": to, "amount_micro_usdt": USDT + n} for n in range(act.number)]
                self.last_block = self.chain.send(transfers=transfers)["block"]
            case "mine":
                self.chain.mine(act.number)
            case "reorganise":
                self.chain.reorganise(act.number, act.word)
            case "fault":
                self.chain.fault(act.word, "ab*"[act.number % 3], count=3 * act.number)
            case "lie":
                self.chain.fault(act.word, "ab*"[act.number % 3], height=self.last_block, count=act.number)
            case "stale":
                self.chain.fault(act.word, "ab"[act.number % 2], count=3 * act.number)
            case "heal":
                self.chain.heal()
            case "head":
                watcher.calm()
                await watcher.head.step()
            case "scan":
                self.chain.solidify()
                for _ in range(act.number):
                    watcher.calm()
                    await watcher.scan.step()
            case _:
                await self._die(watcher, act.word)

    async def _die(self, watcher: Watcher, point: str) -> None:
        """At that point of the next commit, if there is one; what is in a transaction then is undone."""

        def crash(passed: str) -> None:
            if passed == point:
                raise Killed

        self.chain.solidify()
        watcher.scan._context = dataclasses.replace(watcher.context, crash=crash)
        watcher.calm()
        await watcher.scan.step()
        raise Killed

    def _found(self, watcher: Watcher) -> list[Any]:
        return sorted(
            (row["txid"].hex(), row["log_index"], int(row["amount_micro_usdt"]), row["block_height"], row["state"])
            for row in watcher.rows("SELECT * FROM deposits WHERE state <> 'orphaned'")
        )

    def _expected(self) -> list[Any]:
        states = {self.addresses["nobody"]: "suspense"}
        return sorted(
            (entry["txid"], index, moved["amount_micro_usdt"], entry["block"], states.get(moved["to"], "crediting"))
            for entry in self.chain.record()[self.before :]
            if entry["state"] == "solid"
            for index, moved in enumerate(entry["movements"])
        )


def test_any_schedule_of_faults_and_restarts_gives_the_records_of_a_faultless_scan(
    lasting_chain: Chain, watch_settings: Settings, owner_url: str
) -> None:
    numbers = iter(range(1_000_000, 2_000_000))

    @settings(max_examples=EXAMPLES)
    @example(WORST)
    @given(st.lists(ACTS, min_size=8, max_size=20))
    def check(acts: list[Act]) -> None:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {TABLES} CASCADE")
        lasting_chain.heal()
        lasting_chain.solidify()
        account = Bip44.FromSeed(SEED, Bip44Coins.TRON).Purpose().Coin().Account(next(numbers))
        configuration = watch_settings.model_copy(update={"xpub": account.PublicKey().ToExtended()})
        found, expected, gone_through, heights = asyncio.run(World(lasting_chain, configuration, owner_url).run(acts))
        assert found == expected
        assert gone_through == heights

    assert read_blocks.RETRY_S == 0.0
    check()
