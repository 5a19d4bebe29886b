"""multipart/form-data read as it arrives: the small fields that are asked for, and where everything lies in the body.

The body itself passes through untouched, so this reads strictly: what a provider's parser might read in another way is refused.
Never keeps a file. Everything that can grow has a limit.
"""

import re
from typing import Any, Final

import msgspec

from tt_edge.domain.refusals import invalid_request

FIELD_BYTES_MAX: Final = 256 * 1024
"""Of a field that is read; others pass at any size."""
PART_HEADERS_BYTES_MAX: Final = 16 * 1024
PARTS_MAX: Final = 256
_BOUNDARY: Final = re.compile(
    r"""multipart/form-data\s*;(?:.*;)?\s*boundary=("?)([\w'()+,./:=? -]{0,69}[\w'()+,./:=?-])\1\s*(?:;.*)?""",
    re.I | re.A,
)
_DISPOSITION: Final = re.compile(r'form-data((?:\s*;\s*[\w-]+\*?=(?:"(?:[^"\\]|\\.)*"|[^\s";]+))*)\s*;?')
_PARAMETER: Final = re.compile(r'([\w-]+\*?)=("(?:[^"\\]|\\.)*"|[^\s";]+)')
_ENCODED: Final = ("base64", "quoted-printable")


class FormField(msgspec.Struct, frozen=True):
    """A field that was asked for; `start` and `end` are its value's place in the body."""

    name: str
    value: bytes
    start: int
    end: int


class FormFile(msgspec.Struct, frozen=True):
    """A file of the form, and its place in the body."""

    name: str
    start: int
    end: int


class Form(msgspec.Struct, frozen=True):
    """A whole form: the wanted fields and the files, in their order."""

    fields: list[FormField]
    files: list[FormFile]

    def field(self, name: str) -> FormField | None:
        """The field of that name. Raises invalid_request where there are several, or it is no text."""
        found = [field for field in self.fields if field.name == name]
        if len(found) > 1:
            raise invalid_request(f"The form has several fields '{name}'.", name)
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """Its value; None where there is none. Raises as `field` does."""
        field = self.field(name)
        try:
            return None if field is None else field.value.decode()
        except UnicodeDecodeError:
            raise invalid_request(f"The field '{name}' is not UTF-8 text.", name) from None


class _Part:
    __slots__ = ("is_file", "kept", "name", "start")

    def __init__(self, headers: bytes, start: int, wanted: frozenset[str]) -> None:
        self.name, self.is_file = _named(headers)
        self.start = start
        self.kept = bytearray() if not self.is_file and self.name in wanted else None


class FormReader:
    """`feed` it the body, then take the `form`. `identity` takes what the form says, without the boundary that differs each time."""

    def __init__(self, content_type: str, wanted: frozenset[str], identity: Any = None) -> None:
        found = _BOUNDARY.fullmatch(content_type.strip())
        if found is None or content_type.lower().count("boundary=") > 1:
            raise invalid_request("The body must be multipart/form-data with a boundary.")
        self._line = b"\n--" + found[2].encode()
        # As if a line ended before the first boundary.
        self._buffer = bytearray(b"\r\n")
        self._offset = -2
        self._wanted = wanted
        self._identity = identity
        self._part: _Part | None = None
        self._parts = 0
        self._ended = False
        self._fields: list[FormField] = []
        self._files: list[FormFile] = []

    def feed(self, data: bytes) -> None:
        """The next bytes of the body. Raises invalid_request."""
        self._buffer += data
        while not self._ended and self._step():
            continue
        if self._ended and self._buffer.strip(b"\r\n"):
            raise _broken("there is something after its last boundary")

    def form(self) -> Form:
        """Raises invalid_request where the form is not whole."""
        if not self._ended:
            raise _broken("it ends too early")
        return Form(self._fields, self._files)

    def _step(self) -> bool:
        """Takes what it can from the buffer; False where more is needed."""
        buffer = self._buffer
        at = buffer.find(self._line) - 1
        if at < -1:
            # The end may be the beginning of a boundary.
            safe = len(buffer) - len(self._line)
            if safe > 0:
                self._data(safe)
            return False
        if at < 0 or buffer[at] != 0x0D:
            raise _broken("its lines must end with CRLF")
        after = at + 1 + len(self._line)
        ending = bytes(buffer[after : after + 2])
        if len(ending) < 2:
            return False
        if ending == b"--":
            self._data(at)
            self._close()
            self._take(after + 2 - at)
            self._ended = True
            return False
        if ending != b"\r\n":
            raise _broken("a boundary is not followed by a line end")
        headers_end = buffer.find(b"\r\n\r\n", after)
        if (headers_end if headers_end >= 0 else len(buffer)) - after > PART_HEADERS_BYTES_MAX:
            raise _broken("the headers of a part are too long")
        if headers_end < 0:
            return False
        headers = bytes(buffer[after + 2 : headers_end])
        self._data(at)
        self._close()
        self._take(headers_end + 4 - at)
        self._open(headers)
        return True

    def _take(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size

    def _data(self, size: int) -> None:
        """The first bytes of the buffer belong to the open part."""
        if self._part is None:
            if size > 0:
                raise _broken("it does not begin with its boundary")
            return
        data = self._buffer[:size]
        if self._identity is not None:
            self._identity.update(data)
        if self._part.kept is not None:
            self._part.kept += data
            if len(self._part.kept) > FIELD_BYTES_MAX:
                raise invalid_request(f"The field '{self._part.name}' is too long.", self._part.name)
        self._take(size)

    def _open(self, headers: bytes) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _broken(f"it has more than {PARTS_MAX} parts")
        self._part = _Part(headers, self._offset, self._wanted)
        if self._identity is not None:
            self._identity.update(b"\0%d\0" % len(headers) + headers)

    def _close(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        if self._identity is not None:
            self._identity.update(b"\0%d\0" % (self._offset - part.start))
        if part.is_file:
            self._files.append(FormFile(part.name, part.start, self._offset))
        elif part.kept is not None:
            self._fields.append(FormField(part.name, bytes(part.kept), part.start, self._offset))


def _named(headers: bytes) -> tuple[str, bool]:
    """A part's name, and whether it is a file."""
    disposition = ""
    for line in headers.split(b"\r\n"):
        if b"\r" in line or b"\n" in line or line[:1] in (b" ", b"\t"):
            raise _broken("the headers of a part are folded or have bare line ends")
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if name.strip().lower() == "content-disposition":
            if disposition:
                raise _broken("a part has two dispositions")
            disposition = value.strip()
        elif name.strip().lower() == "content-transfer-encoding" and value.strip().lower() in _ENCODED:
            raise _broken("a part is encoded")
    if not _DISPOSITION.fullmatch(disposition):
        raise _broken("a part has no disposition 'form-data' with a name")
    found = [(name.lower(), value) for name, value in _PARAMETER.findall(disposition)]
    parameters = dict(found)
    name = parameters.get("name", "").strip('"')
    if len(parameters) < len(found) or "name*" in parameters or not name or "\\" in name:
        raise _broken("a part has no plain name")
    return name, "filename" in parameters or "filename*" in parameters


def _broken(detail: str) -> Exception:
    return invalid_request(f"The form can't be read: {detail}.")
