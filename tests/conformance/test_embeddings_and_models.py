"""Embeddings and the model list through the official Python SDK."""

import base64
import math
import struct
from typing import Any

import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError

from tests.support.console import ConsoleUser
from tests.support.product import Product

MODEL = "text-embedding-3-small"


def test_the_sdks_default_base64_and_plain_floats_are_the_same_vector(client: OpenAI) -> None:
    packed = client.embeddings.create(model=MODEL, input="a sentence")
    plain = client.embeddings.create(model=MODEL, input="a sentence", encoding_format="float")

    assert len(packed.data[0].embedding) == 1536
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-7)
    assert math.hypot(*packed.data[0].embedding) == pytest.approx(1.0, abs=1e-3)


def test_base64_stays_base64_when_the_client_asks_for_it(client: OpenAI) -> None:
    answer: Any = client.embeddings.with_raw_response.create(
        model=MODEL, input="a sentence", encoding_format="base64"
    ).http_response.json()

    vector = base64.b64decode(answer["data"][0]["embedding"])
    assert len(struct.unpack(f"<{len(vector) // 4}f", vector)) == 1536


def test_a_list_of_texts_gives_a_vector_each_in_order(client: OpenAI) -> None:
    alone = client.embeddings.create(model=MODEL, input="second").data[0].embedding

    answer = client.embeddings.create(model=MODEL, input=["first", "second", "third"])

    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.data[1].embedding == alone


@pytest.mark.parametrize(
    ("tokens", "vectors"), [([1, 2, 3], 1), ([[1, 2, 3], [4, 5]], 2)], ids=["token list", "list of token lists"]
)
def test_tokens_are_taken_instead_of_text(client: OpenAI, tokens: Any, vectors: int) -> None:
    answer = client.embeddings.create(model=MODEL, input=tokens)

    assert len(answer.data) == vectors


def test_dimensions_are_passed_on(client: OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-large", input="a sentence", dimensions=256)

    assert len(answer.data[0].embedding) == 256
    assert answer.model == "text-embedding-3-large"


def test_embeddings_are_charged_by_input_tokens_alone(client: OpenAI, customer: ConsoleUser) -> None:
    answer = client.embeddings.with_raw_response.create(
        model=MODEL, input=["a sentence"], extra_body={"sandbox": {"prompt_tokens": 1500}}
    )

    parsed = answer.parse()
    assert parsed.usage.prompt_tokens == parsed.usage.total_tokens == 1500
    receipt = customer.receipt(answer.headers["x-request-id"])
    assert receipt["charged_nanousd"] == 1500 * 20
    assert [line["token_class"] for line in receipt["lines"]] == ["input"]


def test_the_model_list_has_every_callable_model_in_openais_shape(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}

    assert {"gpt-4o-mini", "llama-3.1-70b", MODEL, "nomic-embed-text", "mxbai-embed-large"} <= models.keys()
    assert models["gpt-4o-mini"].object == "model"
    assert models["gpt-4o-mini"].owned_by == "openai"
    assert models["gpt-4o-mini"].created > 0


def test_one_model_is_retrieved_by_its_name(client: OpenAI) -> None:
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as raised:
        client.models.retrieve("no-such-model")

    assert raised.value.code == "model_not_found"


def test_a_keys_model_list_narrows_the_models_it_sees(product: Product, customer: ConsoleUser) -> None:
    with product.openai(customer.create_key(models=["gpt-4o-mini"])) as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]
        with pytest.raises(PermissionDeniedError) as raised:
            client.models.retrieve("gpt-4o")

    assert raised.value.code == "model_not_allowed"
