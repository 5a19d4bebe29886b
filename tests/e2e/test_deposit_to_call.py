"""From USDT on the chain to a model's answer: what was sent is credited once, spent, and adds up in every place that shows it."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import httpx
import pytest

from tests.support.chain import SOLID_LAG, Chain
from tests.support.console import ConsoleUser
from tests.support.event_stream import read_events
from tests.support.product import Product
from tests.support.waiting import eventually
from tt_common.clock import now_ms
from tt_common.contracts.streams import DEPOSITS, deposits_subject
from tt_sandbox.stack.deposit import Problem, deposit

HELLO: Any = [{"role": "user", "content": "Say hello."}]
MICRO: Final = 1_000_000
NANOUSD_PER_MICRO: Final = 1_000
CREDITED_S_MAX: Final = 30.0
"""So generous that only what is stuck is later, however busy the machine; the figure itself is printed."""
BLOCK_S: Final = 0.2


@pytest.fixture(scope="module")
def chain(product: Product) -> Iterator[Chain]:
    with Chain(product.stack.chain_url) as sandbox:
        yield sandbox


def test_a_deposit_is_credited_and_spent_on_a_call_and_adds_up_everywhere(product: Product, chain: Chain) -> None:
    # given a customer without a cent, who asks for an address and says what will come
    customer = product.new_customer(None)
    key = customer.create_key()
    model = product.new_model(input_usd="0.333333", output_usd="1.777777")
    place = customer.get("/deposits/address")
    order = customer.send("POST", "/deposits/orders", {"amount_usdt": "3.5", "note": "first"})
    assert (place["network"], place["usable"]) == ("sandbox", True)

    # when 3.5 USDT arrive, with noise around them
    chain.send(place["address"], 9 * MICRO, contract="fake")
    chain.send(place["address"], 0)
    sent = chain.send(place["address"], 3_500_000)
    chain.mine(2)
    (seen,) = eventually(lambda: customer.get("/deposits/records")["data"], "the transfer is seen")
    assert (seen["state"], seen["txid"]) in {("detected", sent["txid"]), ("confirming", sent["txid"])}
    assert customer.balance_nanousd == 0, "what is not solid is no money"
    chain.mine(SOLID_LAG)
    solid_at_ms = now_ms()
    record = _credited(customer, seen["id"])

    # then it is in the wallet, soon
    took_s = (datetime.fromisoformat(record["credited_at"]).timestamp() * 1000 - solid_at_ms) / 1000
    print(f"credited {took_s:.2f} s after its block was solid")  # noqa: T201
    assert took_s < CREDITED_S_MAX
    assert [step["state"] for step in record["timeline"]][-2:] == ["crediting", "credited"]
    assert customer.balance_nanousd == 3_500_000 * NANOUSD_PER_MICRO
    assert customer.get(f"/deposits/orders/{order['id']}")["status"] == "paid"

    # and buys a call, whose receipt says what is left
    with product.openai(key) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=20)
    receipt = customer.receipt(raw.headers["x-request-id"])
    assert receipt["charged_nanousd"] > 0
    left = 3_500_000 * NANOUSD_PER_MICRO - receipt["charged_nanousd"]
    assert customer.settled_balance_nanousd() == left

    # and ledger, events and reconciliations agree
    entries = customer.entries()
    assert _balance(entries) == left
    (booked,) = [entry for entry in entries if entry["debit"].endswith("receipts")]
    assert booked["amount_nanousd"] == 3_500_000 * NANOUSD_PER_MICRO
    assert booked["transaction_id"] == record["transaction_id"]
    subject = deposits_subject("*", customer.account_id)
    credits = [
        event
        for event in read_events(product.stack.nats.url, DEPOSITS.name, subject)
        if "credited_at_ms" in event and event["deposit_id"] == record["id"]
    ]
    assert [event["amount_nanousd"] for event in credits] == [3_500_000 * NANOUSD_PER_MICRO]
    assert product.stack.command("billing", "reconcile").returncode == 0
    assert _reconciled(product)["clean"]


def test_the_command_sends_test_usdt_and_tells_what_becomes_of_it(
    product: Product, chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = product.stack.demo_key()

    with _growing(chain):
        record = _run_command(product, demo, 25_250_000)

    told = capsys.readouterr().out
    assert record.state == "credited"
    assert f"25.25 USDT sent to {record.transfer.to_address}" in told
    assert record.transfer.txid in told and "confirming " in told
    before, after = re.search(r"balance \$([\d.]+) -> \$([\d.]+)", told).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert round(float(after) - float(before), 2) == 25.25


def test_the_command_gives_no_address_to_an_account_that_does_not_exist(product: Product) -> None:
    before = _assigned(product)

    for account in ("acc_nobody", "*"):
        with pytest.raises(Problem, match="there is no account"):
            _run_command(product, product.stack.demo_key(), MICRO, account)

    assert _assigned(product) == before


def _run_command(product: Product, demo: str, amount_micro_usdt: int, account: str | None = None) -> Any:
    stack = product.stack
    return asyncio.run(deposit(stack.nats.url, stack.chain_url, demo, amount_micro_usdt, account))


def _assigned(product: Product) -> int:
    return product.operator.get("/operator/deposits/scanner")["addresses_assigned"]


def _credited(customer: ConsoleUser, deposit_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        record = customer.get(f"/deposits/records/{deposit_id}")
        return record if record["state"] == "credited" else None

    return eventually(look, "the deposit is credited", CREDITED_S_MAX)


def _reconciled(product: Product) -> dict[str, Any]:
    """The report of a reconciliation that began after this was called."""
    operator = product.operator
    before = operator.get("/operator/deposits/reconciliation")["made_at"]
    operator.send("POST", "/operator/deposits/reconciliation")

    def look() -> dict[str, Any] | None:
        report = operator.get("/operator/deposits/reconciliation")
        return report if report["made_at"] != before and not report["running"] else None

    return eventually(look, "a report of deposits", CREDITED_S_MAX)


def _balance(entries: list[dict[str, Any]]) -> int:
    own = re.compile(r"\b(available|held)\b")
    return sum(e["amount_nanousd"] * (bool(own.search(e["credit"])) - bool(own.search(e["debit"]))) for e in entries)


@contextmanager
def _growing(chain: Chain) -> Iterator[None]:
    """A block now and then, by a thread with a connection of its own."""
    stop = threading.Event()

    def grow() -> None:
        with httpx.Client(base_url=chain.url, trust_env=False) as http:
            while not stop.wait(BLOCK_S):
                http.post("/sandbox/blocks", json={"count": 1}).raise_for_status()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
