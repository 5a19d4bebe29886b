"""What the running product emits is what it publishes: every type of event against its schema, the streams against AsyncAPI."""

import json
import time
from typing import Any

import httpx
import msgspec
import nats
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from nats.js.api import DiscardPolicy

from tests.integration.teams.reading import Event, ask_billing, read
from tests.support.chain import SOLID_LAG, Chain
from tests.support.product import Product
from tests.support.waiting import eventually
from tests.tidy import asyncapi, schemas
from tt_common.contracts.event_types import EVENT_STREAMS, EVENT_TYPES
from tt_common.contracts.wallets import HOLD_PLACE, HOLD_RELEASE, HoldState, PlaceHold, ReleaseHold

TYPES = {kind.name: kind for kind in EVENT_TYPES}
# An answer, said again whenever it is asked for: the broker must not take it for the first.
SAID_AGAIN = "billing.deposit_booked.v1"
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def emitted(product: Product) -> list[Event]:
    """All events of a product that lived through everything an event tells of."""
    model = product.new_model()  # a price is published
    customer = product.new_customer("0.01")  # an account is created, its wallet credited
    product.operator.set_wallet(customer.account_id, low_balance_usd="0.009")
    key = customer.create_key()  # a key is created
    with product.openai(key) as client:
        # costs more than the wallet has and than was held: low, then overdrawn
        client.chat.completions.create(
            model=model, messages=HELLO, max_tokens=10, extra_body={"sandbox": {"prompt_tokens": 50_000}}
        )
    _hold_and_release(product)
    _lose_a_grant(product, model)
    _deposit(product)

    def everything() -> list[Event] | None:
        found = [event for spec in EVENT_STREAMS for event in read(product.stack.nats.url, spec.name)]
        return found if {event.type for event in found} == set(TYPES) else None

    try:
        return eventually(everything, "an event of every type")
    except AssertionError as error:
        found = {event.type for spec in EVENT_STREAMS for event in read(product.stack.nats.url, spec.name)}
        raise AssertionError(f"never emitted: {set(TYPES) - found}") from error


def _hold_and_release(product: Product) -> None:
    customer = product.new_customer("1.00")
    place = PlaceHold(
        hold_id="hold_of_a_task",
        account_id=customer.account_id,
        key_id=customer.create_key().id,
        amount_nanousd=1_000,
        ttl_s=60,
        reason="task",
    )
    ask_billing(product.stack.nats.url, HOLD_PLACE, place, HoldState)
    release = ReleaseHold(hold_id=place.hold_id, account_id=place.account_id)
    ask_billing(product.stack.nats.url, HOLD_RELEASE, release, HoldState)


def _lose_a_grant(product: Product, model: str) -> None:
    """An edge stands still with a call in hand for longer than its grant may go unheard of."""
    key = product.new_customer("1.00").create_key()
    edge = product.stack.edges[0]
    body = {"model": model, "messages": HELLO, "stream": True, "sandbox": {"output_tokens": 50, "chunk_delay_ms": 50}}
    headers = {"Authorization": f"Bearer {key.plaintext}"}
    with (
        httpx.Client(trust_env=False, timeout=30) as client,
        client.stream("POST", f"{edge.url}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        edge.pause()
        time.sleep(6)
        edge.resume()
        for _ in lines:
            pass


def _deposit(product: Product) -> None:
    """Too little, too much and enough for an order; one that vanishes; and nodes that disagree in the end."""
    customer = product.new_customer(None)
    address = customer.get("/deposits/address")["address"]
    customer.send("POST", "/deposits/orders", {"amount_usdt": "3"})

    def states() -> set[str]:
        return {record["state"] for record in customer.get("/deposits/records")["data"]}

    with Chain(product.stack.chain_url) as chain:
        chain.send(address, 2_000_000)
        chain.mine(1)
        eventually(lambda: bool(states() & {"detected", "confirming"}), "the transfer is seen")
        chain.reorganise(1, "drop")
        chain.send(address, 400_000)
        chain.solidify()
        eventually(lambda: {"orphaned", "below_minimum"} <= states(), "it has vanished; another is too little")
        chain.send(address, 20_000_000_000)
        chain.send(address, 3_000_000)
        chain.solidify()
        eventually(lambda: {"under_review", "credited"} <= states(), "too much waits, enough is credited")
        chain.fault("fork", "b", height=chain.head - SOLID_LAG + 1)
        chain.mine(1)


def test_every_type_of_event_that_exists_is_emitted(emitted: list[Event]) -> None:
    assert {event.type for event in emitted} == set(TYPES)


def test_every_emitted_event_is_what_its_published_schema_says(emitted: list[Event]) -> None:
    for event in emitted:
        published = json.loads((schemas.FOLDER / f"{event.type}.json").read_text())
        problems = [error.message for error in Draft202012Validator(published).iter_errors(event.data)]
        assert problems == [], event


def test_emitted_events_carry_no_field_that_the_schema_does_not_know(emitted: list[Event]) -> None:
    """The schemas are open for subscribers; the product itself says only what it declares."""
    for event in emitted:
        kind = TYPES[event.type].data
        assert set(event.data) <= set(kind.__struct_fields__), event
        msgspec.convert(event.data, kind)


def test_emitted_events_have_the_headers_and_the_subject_of_the_asyncapi_document(emitted: list[Event]) -> None:
    document = asyncapi.document()
    general = document["components"]["messageTraits"]["cloudevent"]["headers"]
    for event in emitted:
        key = event.type.replace(".", "_")
        own = document["components"]["messages"][key]["headers"]
        for schema in (general, own):
            validator = Draft202012Validator(schema, format_checker=FormatChecker())
            assert [error.message for error in validator.iter_errors(dict(event.headers))] == [], event
        assert event.headers["ce-id"] == event.data["id"]
        if event.type != SAID_AGAIN:
            assert event.headers["Nats-Msg-Id"] == event.data["id"]
        account = event.data.get("account_id", "house")
        assert event.subject == document["channels"][key]["address"].format(
            account_id=account, index=event.data.get("index")
        )
        assert event.headers["ce-subject"] in (account, event.data.get("key_id"))


async def test_the_live_streams_are_configured_as_the_asyncapi_document_says(product: Product) -> None:
    # given
    published = json.loads(asyncapi.FILE.read_text())["x-nats-streams"]
    connection = await nats.connect(product.stack.nats.url)

    # when
    live = {}
    for name in published:
        config = (await connection.jetstream().stream_info(name)).config
        live[name] = {
            "description": config.description,
            "subjects": config.subjects,
            "retention": config.retention,
            "storage": config.storage,
            "discard": DiscardPolicy(config.discard).value,
            "max_bytes": config.max_bytes,
            "max_age_s": config.max_age,
            "duplicate_window_s": config.duplicate_window,
        }
    await connection.close()

    # then
    assert live == published
