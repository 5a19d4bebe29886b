"""Forms as they arrive: the same however the bytes are cut, never whole in memory, refused when broken."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_sandbox.provider import multipart
from tt_sandbox.provider.dialect import RequestRefused, Upload
from tt_sandbox.provider.multipart import Form, read_form
from tt_sandbox.provider.wire import BodyTooLarge, ClientGone

TYPE = b"multipart/form-data; boundary=b0"
FILE = b"RIFF\r\n--b\r\n--b1 is not the end\r\n\r\n--"
TWO_FILES = {
    "image": [Upload("a.wav", "audio/wav", len(FILE), FILE), Upload("b", "application/octet-stream", 0, b"")],
}


def field(name: str, value: bytes, more: bytes = b"") -> bytes:
    return b'--b0\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), more, value)


WHOLE = b"".join(
    [
        field("model", b"whisper-1"),
        field("image[]", FILE, b'; filename="a.wav"\r\nContent-Type: audio/wav'),
        field("sandbox[output_tokens]", b"5"),
        field("include[]", b"logprobs"),
        field("include[]", b"more"),
        field("image[]", b"", b'; filename="b"'),
        field("prompt", b""),
        b"--b0--\r\n",
    ]
)


def read(*chunks: bytes, content_type: bytes = TYPE) -> Form:
    left = list(chunks)

    async def receive() -> Any:
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return asyncio.run(read_form(receive, content_type))


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_form_is_the_same_however_its_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]

    form = read(*(WHOLE[start:end] for start, end in itertools.pairwise(edges)))

    sandbox = {"output_tokens": "5"}
    assert form.body == {"model": "whisper-1", "sandbox": sandbox, "include": ["logprobs", "more"], "prompt": ""}
    assert form.files == TWO_FILES


def test_sandbox_field_may_be_one_json_text() -> None:
    assert read(field("sandbox", b'{"label": "x"}') + b"--b0--").body == {"sandbox": {"label": "x"}}


def test_only_the_beginning_of_a_large_file_is_kept() -> None:
    size = multipart.HEAD_BYTES_MAX * 20
    opened, ended = field("file", b"|", b'; filename="a"').split(b"|")

    upload = read(opened, *[b"x" * (size // 20)] * 20, ended + b"--b0--").files["file"][0]

    assert (upload.size_bytes, len(upload.head)) == (size, multipart.HEAD_BYTES_MAX)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WHOLE, b"application/json"),
        (WHOLE, b"multipart/form-data"),
        (WHOLE[:-9], TYPE),
        (b"nonsense", TYPE),
        (field("sandbox", b"{") + b"--b0--", TYPE),
        (field("a", b"x") + field("a[b]", b"y") + b"--b0--", TYPE),
        (field("a", b"x") + field("a[]", b"y") + b"--b0--", TYPE),
        (field("a" + "[b]" * 9, b"x") + b"--b0--", TYPE),
        (field("a", b"x") * (multipart.PARTS_MAX + 1) + b"--b0--", TYPE),
        (field("a", b"x" * (multipart.FIELD_BYTES_MAX + 1)) + b"--b0--", TYPE),
        (b"--b0\r\n" + b"x" * (multipart.PART_HEADERS_BYTES_MAX + 1), TYPE),
        (b"x" * (multipart.PART_HEADERS_BYTES_MAX + 1), TYPE),
    ],
)
def test_broken_form_is_refused(body: bytes, content_type: bytes) -> None:
    with pytest.raises(RequestRefused):
        read(body, content_type=content_type)


@pytest.mark.parametrize("content_type", [b"application/json", TYPE])
def test_what_is_refused_is_still_read_to_its_end(content_type: bytes) -> None:
    left = [b"nonsense", b"x" * multipart.PART_HEADERS_BYTES_MAX, b"the end"]

    async def receive() -> Any:
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    with pytest.raises(RequestRefused):
        asyncio.run(read_form(receive, content_type))

    assert left == []


def test_upload_over_the_limit_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "UPLOAD_BYTES_MAX", 10)

    with pytest.raises(BodyTooLarge):
        read(b"x" * 6, b"x" * 6)


def test_client_that_leaves_while_it_uploads_is_noticed() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        asyncio.run(read_form(receive, TYPE))
