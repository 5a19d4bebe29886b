"""multipart/form-data as it arrives: fields as a nested body, files measured but not kept.

Of a file only its first `HEAD_BYTES_MAX` bytes stay in memory, whatever its size. Everything that can grow has a limit.
"""

# The body that grows here is foreign JSON; its parts have no static type.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import re
from typing import Any, NamedTuple

import orjson

from tt_sandbox.provider.dialect import RequestRefused, Upload
from tt_sandbox.provider.wire import BodyTooLarge, ClientGone, Receive

UPLOAD_BYTES_MAX = 128 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
FIELD_BYTES_MAX = 1024 * 1024
PART_HEADERS_BYTES_MAX = 16 * 1024
PARTS_MAX = 128
DEPTH_MAX = 4
_BOUNDARY = re.compile(rb'boundary="?([^";]{1,70})"?')
_NAMED = re.compile(r'(?:^|;)\s*(name|filename)="((?:[^"\\]|\\.)*)"')
_STEPS = re.compile(r"\[([^\[\]]*)\]")


class Form(NamedTuple):
    """What a form holds: `body` as if its fields had come as JSON strings, and the files by name."""

    body: dict[str, Any]
    files: dict[str, list[Upload]]


async def read_form(receive: Receive, content_type: bytes) -> Form:
    """The whole form. Raises ClientGone, BodyTooLarge or RequestRefused."""
    found = _BOUNDARY.search(content_type) if content_type.startswith(b"multipart/form-data") else None
    parser = _Parser(found[1]) if found else None
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > UPLOAD_BYTES_MAX:
            raise BodyTooLarge
        # After a mistake the rest is still read: an answer that leaves a body unread would cost the connection.
        if parser is not None:
            parser.feed(chunk)
        more = message.get("more_body", False)
    if parser is None:
        raise RequestRefused("Invalid content type. Expected multipart/form-data with a boundary.")
    return parser.form()


class _Part:
    def __init__(self, headers: str) -> None:
        named = dict(_NAMED.findall(headers))
        kind = re.search(r"(?im)^content-type:\s*(\S+)", headers)
        self.name: str = named.get("name", "")
        self.filename: str | None = named.get("filename")
        self.media_type = kind[1] if kind else "application/octet-stream"
        self.kept = bytearray()
        self.size_bytes = 0
        self._kept_max = FIELD_BYTES_MAX if self.filename is None else HEAD_BYTES_MAX

    def add(self, data: bytes | bytearray) -> None:
        self.size_bytes += len(data)
        self.kept += data[: self._kept_max - len(self.kept)]


class _Parser:
    """Splits at the boundary wherever chunks happen to end."""

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        # As if a line ended before the first boundary.
        self._buffer = bytearray(b"\r\n")
        self._part: _Part | None = None
        self._form = Form({}, {})
        self._parts = 0
        self._ended = False
        self._problem: str | None = None

    def feed(self, chunk: bytes) -> None:
        if self._ended or self._problem is not None:
            return
        self._buffer += chunk
        while self._problem is None and not self._ended and self._step():
            continue

    def form(self) -> Form:
        """Raises RequestRefused when the form was not whole."""
        if self._problem is not None or not self._ended:
            raise RequestRefused(f"Could not parse multipart form: {self._problem or 'unexpected end'}.")
        return self._form

    def _step(self) -> bool:
        """Takes what it can from the buffer; False when more is needed."""
        at = self._buffer.find(self._mark)
        if at < 0:
            # The end may be the beginning of a boundary.
            safe = len(self._buffer) - len(self._mark) + 1
            if self._part is not None and safe > 0:
                self._part.add(self._buffer[:safe])
                del self._buffer[:safe]
            elif self._part is None and len(self._buffer) > PART_HEADERS_BYTES_MAX:
                self._problem = "no boundary"
            return False
        after = at + len(self._mark)
        if self._buffer.startswith(b"--", after):
            self._close(at)
            self._ended = True
            return False
        headers_end = self._buffer.find(b"\r\n\r\n", after)
        if headers_end < 0:
            if len(self._buffer) - after > PART_HEADERS_BYTES_MAX:
                self._problem = "headers of a part are too long"
            return False
        self._close(at)
        self._parts += 1
        if self._parts > PARTS_MAX:
            self._problem = f"more than {PARTS_MAX} parts"
        self._part = _Part(self._buffer[after + 2 : headers_end].decode("utf-8", "replace"))
        del self._buffer[: headers_end + 4]
        return True

    def _close(self, at: int) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        part.add(self._buffer[:at])
        if part.filename is not None:
            upload = Upload(part.filename, part.media_type, part.size_bytes, bytes(part.kept))
            self._form.files.setdefault(part.name.removesuffix("[]"), []).append(upload)
        elif part.size_bytes > FIELD_BYTES_MAX:
            self._problem = f"field '{part.name}' is too long"
        else:
            self._problem = _put(self._form.body, part.name, part.kept.decode("utf-8", "replace"))


def _put(body: dict[str, Any], name: str, text: str) -> str | None:
    """`a[b]` nests, `a[]` collects; `sandbox` may also come as one JSON text. Gives what is wrong with the field, if anything."""
    first = name.partition("[")[0]
    steps = [first, *_STEPS.findall(name)]
    value: Any = text
    if name == "sandbox":
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return "field 'sandbox' is not JSON"
    collects = len(steps) > 1 and steps[-1] == ""
    *outer, last = steps[:-1] if collects else steps
    node: Any = body
    for step in outer[:DEPTH_MAX]:
        node = node.setdefault(step, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict) or len(outer) > DEPTH_MAX:
        return f"field '{name}' doesn't fit the others"
    if not collects:
        node[last] = value
    elif isinstance(found := node.setdefault(last, []), list):
        found.append(value)
    else:
        return f"field '{name}' doesn't fit the others"
    return None
