"""The SDK's own retries: honoured where they help, never a second charge."""

import secrets
import time
from typing import Any

import openai

from tests.conformance.test_chat import HELLO
from tests.support.product import Product


def test_a_provider_that_recovers_is_reached_by_the_sdks_retries_with_one_charge(product: Product) -> None:
    model = product.new_model(input_usd="1.00", output_usd="2.00")
    customer = product.new_customer()
    requests: list[Any] = []
    http = openai.DefaultHttpxClient(trust_env=False, event_hooks={"request": [requests.append]})
    switches = {"fail_times": 2, "fail_key": secrets.token_hex(8), "prompt_tokens": 10, "output_tokens": 5}

    began = time.monotonic()
    with product.openai(customer.create_key(), max_retries=2, http_client=http) as client:
        answer = client.chat.completions.create(model=model, messages=HELLO, extra_body={"sandbox": switches})

    assert answer.choices[0].message.content
    assert len(requests) == 3
    assert time.monotonic() - began >= 2.0, "Retry-After was obeyed twice"
    assert [call["status"] for call in product.provider.calls(model=model)] == [500, 500, 200]
    assert [charge["cost_nanousd"] for charge in customer.charges()] == [10 * 1000 + 5 * 2000]


def test_a_second_route_takes_over_before_the_sdk_notices(product: Product) -> None:
    product.operator.put_provider("sandbox-b", product.stack.provider_url, key_ref="env:SANDBOX_API_KEY")
    first, second = f"first-{secrets.token_hex(4)}", f"second-{secrets.token_hex(4)}"
    model = product.new_model(
        routes=[
            {"provider": "sandbox", "upstream_model": first, "priority": 0},
            {"provider": "sandbox-b", "upstream_model": second, "priority": 1},
        ]
    )
    product.provider.set_fault(first, fail_status=503)

    with product.openai(product.new_customer().create_key()) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        stream = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))

    assert raw.parse().model == model
    assert raw.headers["x-tt-provider"] == "sandbox-b"
    assert stream[-1].choices[0].finish_reason == "stop"
    assert [call["status"] for call in product.provider.calls(model=first)] == [503, 503]
    assert [call["status"] for call in product.provider.calls(model=second)] == [200, 200]
