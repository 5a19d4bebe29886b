"""An upload on its way in: what it is measured as, and that none may take its time for ever."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.media import wav
from tt_common.errors import DomainError
from tt_edge.clients.spool import Spool, SpoolRoom
from tt_edge.protocols import exchange as exchanges
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.openai.media.request import parse_transcription
from tt_edge.usecases import read_upload as reading
from tt_edge.usecases.read_upload import read_upload


def form(sound: bytes, name: str = "file") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a.wav"\r\n\r\n'.encode()
    return head + sound + b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'


def coming(*parts: bytes, pause_s: float = 0.0) -> Exchange:
    """A request of which these parts come, and then no more."""
    left = list(parts)

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(pause_s if left else 3600)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return Exchange({"method": "POST", "path": "/", "headers": headers}, receive, send)


def whole(body: bytes) -> Exchange:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return Exchange({"method": "POST", "path": "/", "headers": headers}, receive, send)


@pytest.mark.parametrize(
    ("sound", "seconds", "seconds_max", "measured"),
    [(wav(61), 61, 61, True), (b"\x1aE\xdf\xa3" + bytes(79_996), 11, 41, False), (wav(1)[:-15_000], 1, 1, True)],
)
async def test_a_sound_is_measured_by_its_header_or_else_by_its_size(
    tmp_path: Path, sound: bytes, seconds: int, seconds_max: int, measured: bool
) -> None:
    spool = Spool(SpoolRoom(tmp_path, 10**9))

    upload, _ = await read_upload(whole(form(sound)), spool, 10**9)
    asked = parse_transcription(upload).asked

    assert (asked.seconds, asked.seconds_max, asked.measured) == (seconds, seconds_max, measured)
    spool.close()


async def test_a_form_without_a_file_is_refused_by_the_fields_name(tmp_path: Path) -> None:
    spool = Spool(SpoolRoom(tmp_path, 10**9))
    upload, _ = await read_upload(whole(form(b"x", "sound")), spool, 10**9)

    with pytest.raises(DomainError) as raised:
        parse_transcription(upload)

    assert raised.value.data["param"] == "file"


async def test_an_upload_that_stops_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "STALLED_S", 0.02)

    with pytest.raises(DomainError) as raised:
        await read_upload(coming(form(wav(1))[:100]), Spool(SpoolRoom(tmp_path, 10**9)), 10**9)

    assert raised.value.code == "request_timeout"


async def test_an_upload_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "UPLOAD_S_MAX", 0.05)
    body = form(wav(1))

    with pytest.raises(DomainError) as raised:
        await read_upload(
            coming(*[body[at : at + 1] for at in range(100)], pause_s=0.002), Spool(SpoolRoom(tmp_path, 10**9)), 10**9
        )

    assert raised.value.code == "request_timeout"
