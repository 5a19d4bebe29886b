"""From the sign-up to the bill: every place that shows what a call cost shows the same nanoUSD."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.support.console import ConsoleUser
from tests.support.event_stream import read_events
from tests.support.product import CREDIT_NAME, CREDITS_PER_USD, SANDBOX, Product
from tests.support.waiting import eventually
from tt_common.contracts.streams import BILLING, USAGE, billing_subject, usage_subject

HELLO: Any = [{"role": "user", "content": "Say hello."}]
NANOUSD = 10**9


def test_a_new_customers_calls_add_up_to_the_nanousd_everywhere(product: Product) -> None:
    # given a customer with three dollars, and prices that don't come out even
    model = product.new_model(input_usd="0.333333", output_usd="1.777777")
    customer = product.new_customer("3.00")
    key = customer.create_key(name="first key")

    # when calls of every kind go through both edges
    costs: dict[str, int] = {}
    for edge in (0, 1):
        with product.openai(key, edge=edge) as client:
            for tokens in (1, 7, 333):
                raw = client.chat.completions.with_raw_response.create(
                    model=model,
                    messages=HELLO,
                    extra_body={"sandbox": {"prompt_tokens": 11 * tokens, "output_tokens": tokens}},
                )
                usage: Any = raw.parse().usage
                costs[raw.headers["x-request-id"]] = _nanousd(usage.cost)
            embedded = client.embeddings.with_raw_response.create(model="nomic-embed-text", input="some text")
            usage = embedded.parse().usage
            costs[embedded.headers["x-request-id"]] = _nanousd(usage.cost)
    expected = [_half_up(11 * tokens * 333_333 + tokens * 1_777_777, 1_000) for tokens in (1, 7, 333)]

    # then events, receipts, ledger, usage list, rollups and CSV agree
    assert list(costs.values())[:3] == list(costs.values())[4:7] == expected
    spent = sum(costs.values())
    assert customer.settled_balance_nanousd() == 3 * NANOUSD - spent
    events = read_events(product.stack.nats.url, USAGE.name, usage_subject(customer.account_id))
    assert {event["id"]: event["cost_nanousd"] for event in events} == costs
    assert {event["outcome"] for event in events} == {"succeeded"}
    for request_id, cost in costs.items():
        receipt = customer.receipt(request_id)
        assert receipt["cost_nanousd"] == receipt["charged_nanousd"] == cost
        lines = sum(Decimal(line["unit_price_usd"]) * line["quantity"] / line["per"] for line in receipt["lines"])
        assert abs(lines * NANOUSD - cost) <= Decimal("0.5"), "the lines, rounded once"
        assert receipt["entries"], "the receipt names its ledger entries"
    assert _ledger_balance(customer) == 3 * NANOUSD - spent
    calls = customer.usage(len(costs))
    assert {call["request_id"]: call["cost_nanousd"] for call in calls} == costs
    for step in ("hourly", "daily"):
        sums = customer.get(f"/usage/{step}")["data"]
        assert sum(row["cost_nanousd"] for row in sums) == spent
        assert sum(row["requests"] for row in sums) == len(costs)
    rows = list(csv.DictReader(io.StringIO(customer.http.get("/usage.csv").text)))
    assert {row["request_id"]: int(row["cost_nanousd"]) for row in rows} == costs


def test_a_keys_monthly_limit_stops_it_and_says_when_it_resets(product: Product) -> None:
    model = product.new_model(input_usd="0", output_usd="1000")  # $0.001 a token
    customer = product.new_customer("1.00")
    key = customer.create_key(monthly_limit_usd="0.005")

    with product.openai(key, max_retries=3) as client:
        for _ in range(2):
            client.chat.completions.create(
                model=model, messages=HELLO, max_tokens=2, extra_body={"sandbox": {"output_tokens": 2}}
            )
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(model=model, messages=HELLO, max_tokens=2)
    with product.openai(customer.create_key()) as unlimited:
        unlimited.chat.completions.create(
            model=model, messages=HELLO, max_tokens=2, extra_body={"sandbox": {"output_tokens": 2}}
        )

    assert (raised.value.status_code, raised.value.code) == (402, "api_key_quota_exceeded")
    assert raised.value.response.headers["x-should-retry"] == "false"
    now = datetime.now(UTC)
    next_month = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    assert next_month.strftime("%Y-%m-%d") in raised.value.message
    assert customer.settled_balance_nanousd() == NANOUSD - 6_000_000
    spend = customer.get(f"/keys/{key.id}")["spend"]
    assert Decimal(spend["spent_usd"]) == Decimal("0.004")


def test_a_balance_that_falls_below_its_threshold_is_announced_once(product: Product) -> None:
    model = product.new_model(input_usd="0", output_usd="1000")
    customer = product.new_customer("1.00")
    product.operator.set_wallet(customer.account_id, low_balance_usd="0.95")
    subject = billing_subject("wallet_low", customer.account_id)

    with product.openai(customer.create_key()) as client:
        for _ in range(4):
            client.chat.completions.create(
                model=model, messages=HELLO, max_tokens=20, extra_body={"sandbox": {"output_tokens": 20}}
            )

    customer.settled_balance_nanousd()
    events = eventually(lambda: read_events(product.stack.nats.url, BILLING.name, subject), "a wallet_low event")
    assert len(events) == 1
    assert events[0]["account_id"] == customer.account_id
    assert events[0]["balance_nanousd"] < events[0]["threshold_nanousd"] == 950_000_000


def test_a_model_published_while_the_product_runs_becomes_callable_once_it_has_a_price(product: Product) -> None:
    model = f"new-{product.new_model()}"
    customer = product.new_customer()
    key = customer.create_key()
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}])

    with product.openai(key) as client:
        with pytest.raises(openai.NotFoundError) as raised:
            client.chat.completions.create(model=model, messages=HELLO)
        product.operator.publish_price(model, input="1", output="1")
        product.until_callable(model)
        answer = client.chat.completions.create(model=model, messages=HELLO)

    assert raised.value.code == "model_not_found"
    assert answer.model == model
    assert model in {item["id"] for item in customer.get("/models")["data"]}


def test_amounts_are_shown_in_the_deployments_own_credit_too(product: Product) -> None:
    customer = product.new_customer("2.50")

    balance = customer.balance
    prices = {item["id"]: item["price"] for item in customer.get("/models")["data"]}

    assert balance["balance_usd"] == "2.50"
    credit = balance["credit"]
    assert (credit["name"], credit["per_usd"], credit["balance"]) == (CREDIT_NAME, CREDITS_PER_USD, "250.00")
    assert prices["gpt-4o"]["usd_per_million_tokens"]["input"] == "2.50"
    assert prices["gpt-4o"]["credit_per_million_tokens"]["input"] == "250.00"


def test_the_demo_account_calls_a_model_as_the_first_page_says(product: Product) -> None:
    with product.openai(product.stack.demo_key()) as client:
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])

    assert answer.choices[0].message.content


def _nanousd(cost_usd: float) -> int:
    # The SDK parses the JSON number as a float; its shortest text is what was on the wire.
    exact = Decimal(json.dumps(cost_usd)) * NANOUSD
    assert exact == int(exact)
    return int(exact)


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _ledger_balance(customer: ConsoleUser) -> int:
    """What the ledger's transfers leave in the customer's own buckets."""
    own = re.compile(r"\b(available|held)\b")
    balance = 0
    for entry in customer.entries():
        into, out_of = bool(own.search(entry["credit"])), bool(own.search(entry["debit"]))
        balance += entry["amount_nanousd"] * (into - out_of)
    return balance
