"""Forms as they arrive: the same whatever the split, strict where parsers differ, and where each part lies in the body."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.multipart import FIELD_BYTES_MAX, PARTS_MAX, Form, FormReader

TYPE = "multipart/form-data; boundary=b0undary"
WANTED = frozenset({"model", "prompt"})


def part(name: str, value: bytes, more: str = "", boundary: str = "b0undary") -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def whole(*parts: bytes, boundary: str = "b0undary") -> bytes:
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def read(body: bytes, step: int = 1 << 20, content_type: str = TYPE) -> Form:
    reader = FormReader(content_type, WANTED)
    for at in range(0, len(body), step):
        reader.feed(body[at : at + step])
    return reader.form()


FILE = part("file", b"\r\n--b0undar\r\n--\x00\xff" * 5, '; filename="a.wav"\r\nContent-Type: audio/wav')
BODY = whole(part("prompt", b"hi"), FILE, part("other", b"x" * 99), part("model", b"m"))


@given(cuts=st.lists(st.integers(0, len(BODY)), max_size=12))
def test_any_split_gives_the_same_form(cuts: list[int]) -> None:
    reader = FormReader(TYPE, WANTED)
    places = [0, *sorted(cuts), len(BODY)]
    for start, end in itertools.pairwise(places):
        reader.feed(BODY[start:end])

    assert reader.form() == read(BODY)


def test_every_part_is_found_where_it_lies() -> None:
    form = read(BODY)

    model, [file] = form.field("model"), form.files
    assert model is not None
    assert (model.value, BODY[model.start : model.end]) == (b"m", b"m")
    assert (file.name, BODY[file.start : file.end]) == ("file", b"\r\n--b0undar\r\n--\x00\xff" * 5)
    assert [field.name for field in form.fields] == ["prompt", "model"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY[:-10],
        b"before" + BODY,
        BODY + b"after",
        BODY.replace(b"\r\n", b"\n"),
        whole(
            part("file", b'x\n--b0undary\r\nContent-Disposition: form-data; name="model"\r\n\r\ndear', "; filename=a")
        ),
        whole(part("model", b"m").replace(b'name="model"', b"name*=utf-8''model")),
        whole(part("model", b"m", '; name="other"')),
        whole(part("mo\\del", b"m")),
        whole(part("model", b"m").replace(b"form-data;", b"form-data;\r\n ")),
        whole(part("model", b"bQ==", "\r\nContent-Transfer-Encoding: base64")),
        whole(part("model", b"m", "\r\nContent-Disposition: form-data; name=x")),
        whole(part("model", b"m").replace(b"Content-Disposition", b"X")),
        whole(*[part("x", b"")] * (PARTS_MAX + 1)),
        whole(part("x", b"", "\r\nX: " + "y" * 20_000)),
        whole(part("prompt", b"y" * (FIELD_BYTES_MAX + 1))),
    ],
)
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_what_parsers_could_read_in_different_ways_is_refused(body: bytes, step: int) -> None:
    with pytest.raises(DomainError) as raised:
        read(body, step)

    assert raised.value.code == "invalid_request"


def test_a_field_that_comes_twice_is_refused_by_its_name() -> None:
    form = read(whole(part("model", b"cheap"), part("model", b"dear")))

    with pytest.raises(DomainError) as raised:
        form.field("model")
    assert raised.value.data["param"] == "model"


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=a; boundary=b"]
)
def test_a_body_without_one_boundary_is_no_form(content_type: str) -> None:
    with pytest.raises(DomainError, match="boundary"):
        FormReader(content_type, WANTED)


@pytest.mark.parametrize("boundary", ["'()+_,-./:=?", "a b", "x"])
def test_boundaries_may_be_quoted(boundary: str) -> None:
    body = whole(part("model", b"m", boundary=boundary), boundary=boundary)

    assert read(body, content_type=f'Multipart/Form-Data; charset=x; boundary="{boundary}"').text("model") == "m"


def test_the_identity_of_a_form_is_its_content_and_not_its_boundary() -> None:
    def identity(boundary: str, *parts: tuple[str, bytes]) -> bytes:
        digest = hashlib.sha256()
        body = whole(*[part(name, value, boundary=boundary) for name, value in parts], boundary=boundary)
        reader = FormReader(f"multipart/form-data; boundary={boundary}", WANTED, digest)
        reader.feed(body)
        return digest.digest()

    first = identity("one", ("model", b"m"), ("prompt", b"ab"))
    assert first == identity("another", ("model", b"m"), ("prompt", b"ab"))
    assert first != identity("one", ("model", b"m"), ("prompt", b"abc"))
    assert identity("one", ("a", b"1"), ("b", b"")) != identity("one", ("a", b""), ("b", b"1"))
