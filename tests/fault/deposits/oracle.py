"""The oracle: what the sandbox chain says that it moved, against records and ledger.

What is due is worked out again here, from the chain's own record and the rules alone; nothing of the service's is used. Call after
all is back and what was sent is solid.
"""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fault.deposits.world import MINIMUM_MICRO_USDT, REVIEW_ABOVE_MICRO_USDT, DepositWorld
from tests.fault.oracle import assert_reconciled
from tests.support.chain import SOLID_LAG
from tt_common.contracts.deposit_events import NANOUSD_PER_MICRO_USDT

SETTLE_S: Final = 90.0
POLL_S: Final = 0.1
HOUSE: Final = "house"

Moved = tuple[str, str, int]
"""A transfer as both sides can name it: transaction, recipient, micro-USDT. Two alike in one transaction count twice."""


@dataclass
class Due:
    """What became of every transfer to one of our addresses, by the rules."""

    states: Counter[tuple[str, Moved]] = field(default_factory=Counter[tuple[str, Moved]])
    booked: Counter[tuple[str, Moved]] = field(default_factory=Counter[tuple[str, Moved]])
    """By account; `house` for suspense."""


def assert_all_credited_once(world: DepositWorld) -> Due:
    """Waits until everything is booked, then compares. What is due, for whoever wants to count it."""
    due = due_of(world)
    _wait_settled(world, due)
    assert _states(world) == due.states
    assert _booked(world) == due.booked
    _assert_wallets_hold_it(world, due)
    _assert_cursor_has_no_gap(world)
    assert world.rows("deposits", "SELECT * FROM halt") == []
    assert world.rows("billing", "SELECT id, reason FROM quarantine") == []
    assert_reconciled(world.stack)
    report = world.reconciliation()
    assert report.clean, report.differences
    return due


def due_of(world: DepositWorld) -> Due:
    """From the chain's own record, in the order of its blocks."""
    accounts = {ours.address: ours.account_id for ours in world.ours}
    solid = [entry for entry in world.chain.record() if entry["state"] == "solid"]
    due, waiting = Due(), defaultdict[str, list[Moved]](list)
    for entry in sorted(solid, key=lambda entry: (entry["block"], entry["sequence"])):
        for movement in entry["movements"]:
            to, amount = movement["to"], movement["amount_micro_usdt"]
            if to in accounts and amount > 0:
                _take(due, (entry["txid"], to, amount), accounts[to], waiting[to])
    for address, rest in waiting.items():
        due.states.update(("below_minimum", moved) for moved in rest if accounts[address])
    return due


def _take(due: Due, moved: Moved, account: str | None, waiting: list[Moved]) -> None:
    if account is None:
        due.states["suspense", moved] += 1
        due.booked[HOUSE, moved] += 1
    elif moved[2] > REVIEW_ABOVE_MICRO_USDT:
        due.states["under_review", moved] += 1
    else:
        waiting.append(moved)
        if sum(each[2] for each in waiting) >= MINIMUM_MICRO_USDT:
            due.states.update(("credited", each) for each in waiting)
            due.booked.update((account, each) for each in waiting)
            waiting.clear()


def _wait_settled(world: DepositWorld, due: Due) -> None:
    deadline = time.monotonic() + SETTLE_S
    while unsettled := _unsettled(world, due):
        assert time.monotonic() < deadline, f"not settled after {SETTLE_S:.0f} s: {unsettled}"
        time.sleep(POLL_S)


def _unsettled(world: DepositWorld, due: Due) -> str:
    solid = world.chain.head - SOLID_LAG
    (cursor,) = world.rows("deposits", "SELECT height FROM cursor")
    if cursor["height"] < solid:
        return f"the cursor is at {cursor['height']} of {solid}"
    (open_,) = world.rows("deposits", "SELECT count(*) AS n FROM deposits WHERE entry <> '' AND NOT booked")
    (confirming,) = world.rows("deposits", "SELECT count(*) AS n FROM deposits WHERE state = 'confirming'")
    (waiting,) = world.rows("deposits", "SELECT count(*) AS n FROM outbox")
    if open_["n"] or confirming["n"] or waiting["n"]:
        return f"{open_['n']} not booked, {confirming['n']} not solid, {waiting['n']} not published"
    (ledger,) = world.rows("billing", "SELECT count(*) AS n FROM ledger WHERE source = 'deposit'")
    return "" if ledger["n"] >= due.booked.total() else f"{ledger['n']} of {due.booked.total()} in the ledger"


def _states(world: DepositWorld) -> Counter[tuple[str, Moved]]:
    query = (
        "SELECT d.state, encode(d.txid, 'hex') AS txid, a.address, d.amount_micro_usdt AS amount FROM deposits d"
        " JOIN addresses a ON a.index = d.address_index WHERE d.state <> 'orphaned'"
    )
    text = {bytes(row["address"]): row["text"] for row in _addresses(world)}
    return Counter(
        (row["state"], (row["txid"], text[bytes(row["address"])], int(row["amount"])))
        for row in world.rows("deposits", query)
    )


def _addresses(world: DepositWorld) -> list[dict[str, Any]]:
    """Index by index, as `world.ours` has them."""
    rows = world.rows("deposits", "SELECT address FROM addresses WHERE skipped_reason = '' ORDER BY index")
    return [row | {"text": ours.address} for row, ours in zip(rows, world.ours, strict=False)]


def _booked(world: DepositWorld) -> Counter[tuple[str, Moved]]:
    query = "SELECT account_id, source_id, amount_nanousd, details FROM ledger WHERE source = 'deposit'"
    rows = world.rows("billing", query)
    assert len({row["source_id"] for row in rows}) == len(rows)
    return Counter(
        (
            row["account_id"],
            (row["details"]["txid"], row["details"]["to_address"], row["amount_nanousd"] // NANOUSD_PER_MICRO_USDT),
        )
        for row in rows
    )


def _assert_wallets_hold_it(world: DepositWorld, due: Due) -> None:
    wanted: Counter[str] = Counter()
    for (account, moved), times in due.booked.items():
        wanted[account] += moved[2] * NANOUSD_PER_MICRO_USDT * times
    rows = world.rows(
        "billing", "SELECT account_id, available_nanousd FROM wallets WHERE account_id LIKE 'acc_fault_%%'"
    )
    found = {row["account_id"]: row["available_nanousd"] for row in rows if row["available_nanousd"]}
    assert found == {account: amount for account, amount in wanted.items() if account != HOUSE}


def _assert_cursor_has_no_gap(world: DepositWorld) -> None:
    """Every height from the first to the cursor is there, and is the chain's own block."""
    blocks = world.rows("deposits", "SELECT height, encode(block_id, 'hex') AS id FROM blocks ORDER BY height")
    first, last = blocks[0]["height"], blocks[-1]["height"]
    assert [block["height"] for block in blocks] == list(range(first, last + 1))
    assert world.rows("deposits", "SELECT height FROM cursor") == [{"height": last}]
    for block in blocks[:: max(1, len(blocks) // 50)]:
        told = world.chain.ask("walletsolidity/getblockbynum", num=block["height"])
        assert told["blockID"] == block["id"], f"block {block['height']}"
