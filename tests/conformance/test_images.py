"""Images through the official Python SDK: made and edited, streamed and whole, and what each call is charged."""

import secrets
from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, OpenAI

from tests.conformance.media import charged, png, served
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import SANDBOX, Product

MODEL = "gpt-image-1"
INPUT, PICTURE, OUTPUT = 5_000, 10_000, 40_000
"""nanoUSD a token, as the catalog has them."""
IMAGE_USD = "0.04"


@pytest.fixture(scope="module")
def by_the_image(product: Product) -> str:
    """A model that the sandbox answers as an older one: a URL or base64, no usage. Billed by the image."""
    model = f"dall-e-2-{secrets.token_hex(4)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="image")
    product.operator.publish_price(model, image=IMAGE_USD)
    product.until_callable(model)
    return model


def test_images_are_made_and_charged_by_the_providers_tokens(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    # when
    label = secrets.token_hex(8)
    raw = client.images.with_raw_response.generate(
        model=MODEL, prompt="two red foxes", n=2, quality="low", extra_body={"sandbox": {"label": label}}
    )

    # then
    answer = raw.parse()
    assert answer.data is not None
    assert [bool(image.b64_json) for image in answer.data] == [True, True]
    assert raw.headers["x-tt-provider"] == SANDBOX
    usage = served(product, label)
    assert charged(customer, raw.headers) == usage["input"] * INPUT + usage["output"] * OUTPUT
    assert answer.usage is not None
    assert answer.usage.model_extra == {"cost": charged(customer, raw.headers) / 1e9}


def test_images_are_charged_by_their_number_where_the_price_says_so(
    client: OpenAI, customer: ConsoleUser, by_the_image: str
) -> None:
    # given a provider that gives fewer than were asked for
    body = {"sandbox": {"images": 2}}

    # when
    raw = client.images.with_raw_response.generate(model=by_the_image, prompt="a fox", n=3, extra_body=body)

    # then
    images = raw.parse().data
    assert images is not None
    assert [bool(image.url) for image in images] == [True, True]
    receipt = customer.receipt(raw.headers["x-request-id"])
    assert receipt["charged_nanousd"] == 2 * 40_000_000
    assert [(line["token_class"], line["quantity"]) for line in receipt["lines"]] == [("image", 2)]


def test_a_stream_has_partial_images_and_one_that_is_charged(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    # when
    label = secrets.token_hex(8)
    stream = client.images.generate(
        model=MODEL,
        prompt="a fox",
        stream=True,
        partial_images=2,
        extra_body={"sandbox": {"label": label}},
    )
    events = list(stream)

    # then
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    last: Any = events[-1]
    usage = served(product, label)
    assert usage["images"] == 1
    assert charged(customer, stream.response.headers) == usage["input"] * INPUT + usage["output"] * OUTPUT
    assert last.usage.cost == charged(customer, stream.response.headers) / 1e9


def test_partial_images_are_no_images(client: OpenAI, customer: ConsoleUser, product: Product) -> None:
    # given a price by the image, and a stream that breaks after a partial one
    model = f"test-{secrets.token_hex(6)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="image")
    product.operator.publish_price(model, image=IMAGE_USD)
    product.until_callable(model)

    # when
    whole = client.images.generate(model=model, prompt="a fox", stream=True, partial_images=3)
    charges = [len(list(whole))]
    broken = client.images.generate(
        model=model, prompt="a fox", stream=True, partial_images=3, extra_body={"sandbox": {"error_after_chunks": 1}}
    )
    with pytest.raises(Exception, match="server had an error"):
        list(broken)

    # then
    charges += [charged(customer, whole.response.headers), charged(customer, broken.response.headers)]
    assert charges == [4, 40_000_000, 0]


def test_an_image_is_edited_from_a_form_whatever_the_order_of_its_fields(
    client: OpenAI, customer: ConsoleUser, product: Product
) -> None:
    # when the SDK sends two pictures and a mask
    label = secrets.token_hex(8)
    raw = client.images.with_raw_response.edit(
        model=MODEL,
        image=[("a.png", png(), "image/png"), ("b.png", png(), "image/png")],
        mask=("mask.png", png(), "image/png"),
        prompt="make it blue",
        extra_body={"sandbox": {"label": label}},
    )

    # then
    answer = raw.parse()
    assert answer.data is not None
    assert len(answer.data) == 1
    usage = served(product, label)
    pictures = answer.usage.input_tokens_details.image_tokens if answer.usage is not None else 0
    assert 0 < pictures < usage["input"]
    text = usage["input"] - pictures
    assert charged(customer, raw.headers) == text * INPUT + pictures * PICTURE + usage["output"] * OUTPUT


def test_an_edit_streams(client: OpenAI) -> None:
    events = list(
        client.images.edit(
            model=MODEL, image=("a.png", png(), "image/png"), prompt="blue", stream=True, partial_images=1
        )
    )

    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]


def test_a_refusal_of_the_provider_is_relayed_and_costs_nothing(client: OpenAI, customer: ConsoleUser) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.images.generate(model=MODEL, prompt="a fox", extra_body={"sandbox": {"finish": "refusal"}})

    assert raised.value.code == "moderation_blocked"
    assert charged(customer, raised.value.response.headers) == 0


@pytest.mark.parametrize(
    ("body", "param"), [({"n": 0}, "n"), ({"prompt": 5}, "prompt"), ({"model": "gpt-4o-mini"}, "model")]
)
def test_what_can_not_be_is_refused_by_the_field(client: OpenAI, body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.images.generate(**{"model": MODEL, "prompt": "a fox", **body})

    assert raised.value.param == param


def test_a_failed_provider_is_replaced_by_the_next(client: OpenAI, product: Product) -> None:
    # given two routes, the first of which fails; a form is sent again from its beginning
    first, second = (f"test-{secrets.token_hex(6)}" for _ in range(2))
    routes = [
        {"provider": SANDBOX, "upstream_model": name, "priority": rank} for rank, name in enumerate((first, second))
    ]
    product.operator.put_model(first, routes, kind="image")
    product.operator.publish_price(first, image=IMAGE_USD)
    product.until_callable(first)
    product.provider.set_fault(first, fail_status=500)

    # when
    raw = client.images.with_raw_response.edit(model=first, image=("a.png", png(), "image/png"), prompt="blue")

    # then
    assert raw.parse().data


def test_images_that_the_wallet_can_not_cover_are_refused_before_they_are_made(
    product: Product, by_the_image: str
) -> None:
    with product.openai(product.new_customer("0.10").create_key()) as poor:
        with pytest.raises(APIStatusError) as raised:
            poor.images.generate(model=by_the_image, prompt="a fox", n=3)
        assert poor.images.generate(model=by_the_image, prompt="a fox", n=2).data

    assert (raised.value.status_code, raised.value.code) == (402, "billing_shortfall")


def test_a_dry_run_prices_the_images_that_are_asked_for(product: Product, key: ApiKey, by_the_image: str) -> None:
    answer = httpx.post(
        f"{product.base_url()}/images/generations",
        headers={"Authorization": f"Bearer {key.plaintext}", "X-TT-Dry-Run": "true"},
        json={"model": by_the_image, "prompt": "a fox", "n": 3},
        trust_env=False,
    ).json()

    assert (answer["object"], answer["estimate"]["cost_usd"]) == ("dry_run", "0.12")
