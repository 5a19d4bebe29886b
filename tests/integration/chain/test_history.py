"""What changes history and what must not: reorganisations, restarts, kill -9, time."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.integration.chain.test_transfers import balance, customer
from tests.support.chain import SOLID_LAG, START_HEIGHT, Chain, chain_process
from tests.support.waiting import eventually


def test_reorganisation_drops_what_was_not_solid(chain: Chain) -> None:
    to = customer("dropped")
    sent = chain.send(to, 5)
    head = chain.mine(3)
    before = [chain.ask("wallet/getblockbynum", num=height) for height in range(head - 4, head + 1)]

    (touched,) = chain.reorganise(3)

    after = [chain.ask("wallet/getblockbynum", num=height) for height in range(head - 4, head + 1)]
    same = [old["blockID"] == new["blockID"] for old, new in zip(before, after, strict=True)]
    assert same == [True, True, False, False, False]
    assert [block["block_header"]["raw_data"]["parentHash"] for block in after[1:]] == [
        block["blockID"] for block in after[:-1]
    ]
    assert touched == {"txid": sent["txid"], "block": None}
    assert chain.ask("wallet/gettransactioninfobyid", value=sent["txid"]) == {}
    chain.solidify()
    assert balance(chain, to) == 0
    assert [entry["state"] for entry in chain.record() if entry["txid"] == sent["txid"]] == ["dropped"]


def test_reorganisation_moves_transactions_to_the_next_block(chain: Chain) -> None:
    to = customer("moved")
    sent = chain.send(to, 5)
    head = chain.mine(2)
    waiting = chain.send(to, 6)

    (touched,) = chain.reorganise(2, "move")

    assert touched == {"txid": sent["txid"], "block": head + 1}
    chain.solidify()
    infos = chain.ask("walletsolidity/gettransactioninfobyblocknum", num=head + 1)
    assert [info["id"] for info in infos] == [sent["txid"], waiting["txid"]]
    assert balance(chain, to) == 11


def test_what_is_solid_can_not_be_reorganised(chain: Chain) -> None:
    answer = chain.http.post("/sandbox/reorganise", json={"depth": SOLID_LAG + 1})

    assert answer.status_code == 409
    chain.reorganise(SOLID_LAG)


def everything(chain: Chain, first: int, last: int) -> list[Any]:
    """All that a node tells of some blocks."""
    return [
        [chain.ask(f"wallet/{method}", num=height) for method in ("getblockbynum", "gettransactioninfobyblocknum")]
        for height in range(first, last + 1)
    ]


def test_history_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    with chain_process(tmp_path, CHAIN_FILE=str(tmp_path / "deep" / "chain.sqlite")) as service:
        with Chain(service.url) as chain:
            first = chain.send(customer("kept"), 5)
            chain.send(customer("lost"), 6)
            chain.mine(2, transactions=3)
            chain.reorganise(1)
            chain.mine(4)
            chain.send(customer("waiting"), 7)
            chain.reorganise(2)
            told, record, head = everything(chain, START_HEIGHT - 1, chain.head), chain.record(), chain.head
            service.kill()
        service.start()

        with Chain(service.url) as chain:
            assert chain.head == head
            assert everything(chain, START_HEIGHT - 1, head) == told
            assert chain.record() == record
            assert chain.send(customer("next"), 8)["block"] == head + 1
            assert len({entry["txid"] for entry in chain.record()}) == len(record) + 1
            assert chain.ask("wallet/gettransactioninfobyid", value=first["txid"])["blockNumber"] == first["block"]


def test_blocks_come_by_time_also_while_the_sandbox_is_stopped(tmp_path: Path) -> None:
    file = str(tmp_path / "chain.sqlite")
    with chain_process(tmp_path, CHAIN_BLOCK_S="0.2", CHAIN_FILE=file, CHAIN_SOLID_LAG="2") as service:
        with Chain(service.url) as chain:
            sent = chain.send(customer("in time"), 5)
            by_command = chain.http.post("/sandbox/blocks", json={"count": 1})
            eventually(lambda: chain.head >= sent["block"] + 2, "blocks by themselves")
            solid = chain.ask("walletsolidity/getblockbynum", num=sent["block"])
            head = chain.head
        service.stop()
        time.sleep(0.5)
        service.start()

        with Chain(service.url) as chain:
            assert by_command.status_code == 409
            assert [item["txID"] for item in solid["transactions"]] == [sent["txid"]]
            assert chain.head >= head + 2
            assert chain.ask("walletsolidity/getblockbynum", num=sent["block"]) == solid
            stamps = [
                chain.ask("wallet/getblockbynum", num=height)["block_header"]["raw_data"]["timestamp"]
                for height in range(head - 1, head + 3)
            ]
            assert {later - earlier for earlier, later in pairwise(stamps)} == {200}


def test_another_pace_after_a_restart_leaves_the_past_alone(tmp_path: Path) -> None:
    file = str(tmp_path / "chain.sqlite")
    with chain_process(tmp_path, CHAIN_BLOCK_S="0.1", CHAIN_FILE=file) as service, Chain(service.url) as chain:
        sent = chain.send(customer("before"), 5)
        eventually(lambda: chain.head > sent["block"], "the transfer's block")
        head = chain.head
        told = everything(chain, START_HEIGHT - 2, head)

    with chain_process(tmp_path, CHAIN_BLOCK_S="0", CHAIN_FILE=file) as service, Chain(service.url) as chain:
        stopped_at = chain.head
        assert stopped_at >= head
        assert chain.mine(2) == stopped_at + 2
        assert everything(chain, START_HEIGHT - 2, head) == told
        told = everything(chain, START_HEIGHT - 2, stopped_at + 2)

    with chain_process(tmp_path, CHAIN_BLOCK_S="0.1", CHAIN_FILE=file) as service, Chain(service.url) as chain:
        eventually(lambda: chain.head > stopped_at + 3, "blocks by themselves again")
        assert everything(chain, START_HEIGHT - 2, stopped_at + 2) == told
