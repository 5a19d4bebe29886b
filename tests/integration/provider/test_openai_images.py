"""OpenAI's image endpoints through the official SDK: real images, the vendor's usage, partial images in streams."""

import base64
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.integration.provider.conftest import Door
from tt_sandbox.provider import pictures

PNG = pictures.png("source")
BROKEN = [
    ({"model": "gpt-image-1", "response_format": "url"}, "response_format"),
    ({"model": "dall-e-3", "n": 2}, "n"),
    ({"model": "dall-e-2", "size": "1792x1024"}, "size"),
    ({"model": "dall-e-2", "output_format": "png"}, "output_format"),
    ({"model": "gpt-image-1", "quality": "hd"}, "quality"),
    ({"model": "gpt-image-1", "n": 11}, "n"),
    ({"model": "gpt-image-1", "partial_images": 1}, "partial_images"),
    ({"model": "gpt-image-1", "stream": True, "n": 2}, "n"),
    ({"model": "gpt-image-1", "stream": True, "partial_images": 4}, "partial_images"),
    ({"model": "gpt-image-1", "prompt": ""}, "prompt"),
]


def generate(sdk: OpenAI, switches: Any = None, **fields: Any) -> Any:
    wanted: Any = {"model": "gpt-image-1", "prompt": "a red owl"} | fields
    return sdk.images.generate(**wanted, extra_body={"sandbox": switches or {}})


def edit(sdk: OpenAI, switches: Any = None, **fields: Any) -> Any:
    wanted: Any = {"model": "gpt-image-1", "prompt": "a red owl", "image": PNG} | fields
    return sdk.images.edit(**wanted, extra_body={"sandbox": switches or {}})


def is_png(image: str) -> bool:
    return base64.b64decode(image).startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [({}, 1056), ({"quality": "low"}, 272), ({"quality": "high", "size": "1024x1536"}, 6240), ({"n": 3}, 3 * 1056)],
)
def test_images_cost_tokens_by_size_and_quality(openai_sdk: OpenAI, door: Door, fields: Any, tokens: int) -> None:
    answer = generate(openai_sdk, **fields)

    assert all(is_png(image.b64_json) for image in answer.data)
    assert len({image.b64_json for image in answer.data}) == fields.get("n", 1)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, tokens)
    record = door.record()
    assert record["vendor_usage"] == answer.usage.model_dump()
    used = {name: count for name, count in record["usage"].items() if count}
    assert used == {"input": 3, "output": tokens, "images": fields.get("n", 1)}


def test_fewer_images_may_come_than_were_asked_for(openai_sdk: OpenAI, door: Door) -> None:
    assert len(generate(openai_sdk, {"images": 2}, n=4).data) == 2
    assert door.record()["usage"]["images"] == 2


def test_edited_images_are_part_of_the_prompt(openai_sdk: OpenAI, door: Door) -> None:
    usage = edit(openai_sdk, image=[PNG, PNG], mask=PNG, n=2).usage

    assert usage.input_tokens_details.model_dump() == {"text_tokens": 3, "image_tokens": 170}
    record = door.record()
    assert (record["path"], record["model"], record["usage"]["images"]) == ("/v1/images/edits", "gpt-image-1", 2)


@pytest.mark.parametrize(("make", "kind"), [(generate, "image_generation"), (edit, "image_edit")])
def test_stream_shows_partial_images_and_ends_with_the_whole_one(
    openai_sdk: OpenAI, door: Door, make: Any, kind: str
) -> None:
    *partial, last = list(make(openai_sdk, stream=True, partial_images=2, quality="low"))

    assert [(event.type, event.partial_image_index) for event in partial] == [
        (f"{kind}.partial_image", i) for i in (0, 1)
    ]
    assert last.type == f"{kind}.completed"
    assert all(is_png(event.b64_json) for event in (*partial, last))
    assert last.usage.output_tokens == 272 + 2 * 100
    record = door.record()
    assert record["vendor_usage"]["output_tokens"] == record["usage"]["output"] == 472
    assert record["usage"]["images"] == 1


def test_stream_that_dies_after_a_partial_image_made_no_image(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.APIError):
        list(generate(openai_sdk, {"error_after_chunks": 1}, stream=True, partial_images=2))

    record = door.record()
    assert (record["usage"]["images"], record["usage"]["output"], record["vendor_usage"]) == (0, 100, None)


def test_older_models_answer_a_url_that_can_be_fetched(openai_sdk: OpenAI, door: Door) -> None:
    answer = generate(openai_sdk, model="dall-e-3")

    assert (answer.data[0].revised_prompt, answer.data[0].b64_json, answer.usage) == ("a red owl", None, None)
    image = door.http.get(answer.data[0].url)
    assert (image.headers["content-type"], image.content[:4]) == ("image/png", b"\x89PNG")
    record = door.record()
    assert ({name for name, count in record["usage"].items() if count}, record["vendor_usage"]) == ({"images"}, None)


def test_older_models_answer_base64_when_asked(openai_sdk: OpenAI, door: Door) -> None:
    answer = generate(openai_sdk, model="dall-e-2", n=2, response_format="b64_json")

    assert [is_png(image.b64_json) for image in answer.data] == [True, True]


@pytest.mark.parametrize(("fields", "param"), BROKEN)
def test_request_is_refused_as_the_vendor_does(openai_sdk: OpenAI, door: Door, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        generate(openai_sdk, **fields)

    assert refused.value.param == param
    assert door.record()["usage"]["images"] == 0


def test_what_is_no_image_is_not_edited(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid image file"):
        edit(openai_sdk, image=b"hello")


def test_blocked_prompt_makes_no_image(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        edit(openai_sdk, {"finish": "refusal"})

    assert refused.value.code == "moderation_blocked"
    assert sum(door.record()["usage"].values()) == 0


def test_switches_work_in_a_form(openai_sdk: OpenAI, door: Door) -> None:
    answer = edit(openai_sdk, {"label": "mine", "prompt_tokens": 9, "output_tokens": 4, "omit_usage": True})

    assert answer.usage is None
    record = door.record()
    assert (record["label"], record["usage"]["input"], record["usage"]["output"]) == ("mine", 9, 4)
