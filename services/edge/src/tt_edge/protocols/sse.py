"""Server-sent events: bytes cut into events, any split of the bytes gives the same ones."""

from typing import Final

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
LARGE_BYTES: Final = 16 * 1024
"""An event that is longer, such as one with an image, is joined once, at its end."""


class FrameTooLarge(Exception):
    """A provider sent more than 16 MiB without the end of an event."""


class FrameSplitter:
    """Cuts bytes into SSE events at blank lines, for LF and CRLF alike; keeps what is not complete yet."""

    __slots__ = ("_carriage_return", "_parts", "_size_bytes")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._carriage_return = b""
        """The last byte so far, where what follows decides whether it is the half of a line end."""

    def feed(self, data: bytes) -> list[bytes]:
        """Complete events, each with its blank line."""
        if self._carriage_return or b"\r" in data:
            data = self._with_plain_ends(data)
        parts = self._parts
        if not parts:
            buffer = data
        elif self._size_bytes > LARGE_BYTES and _ends_nothing(parts[-1], data):
            parts.append(data)
            self._size_bytes += len(data)
            if self._size_bytes > FRAME_BYTES_MAX:
                raise FrameTooLarge
            return []
        else:
            buffer = b"".join([*parts, data])
        frames: list[bytes] = []
        start = 0
        while (end := buffer.find(b"\n\n", start)) >= 0:
            frames.append(buffer[start : end + 2])
            start = end + 2
        if start < len(buffer):
            self._parts = [buffer[start:]]
            self._size_bytes = len(buffer) - start
            if self._size_bytes > FRAME_BYTES_MAX:
                raise FrameTooLarge
        elif parts:
            self._parts = []
        return frames

    def rest(self) -> bytes:
        """What came after the last complete event."""
        return b"".join([*self._parts, self._carriage_return]).strip()

    def _with_plain_ends(self, data: bytes) -> bytes:
        """LF for CRLF, each byte looked at once: what was made plain before must not be read as another line end."""
        data = self._carriage_return + data
        self._carriage_return = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._carriage_return)].replace(b"\r\n", b"\n")


def _ends_nothing(before: bytes, data: bytes) -> bool:
    """Whether no event can end in `data` or where it begins."""
    if not data or b"\n\n" in data:
        return False
    return before[-1] != 0x0A or data[0] != 0x0A


def data_alone(frame: bytes) -> bytes | None:
    """An event of other or several lines (`event:`, `id:`, comments, more `data:`) as one line of data; None where it has none."""
    data = [line[5:].strip() for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"data: " + b" ".join(data) + b"\n\n" if data else None


def payload_of(frame: bytes) -> bytes:
    """The data of an event, empty where it has none."""
    start = frame.find(b"\n") + 1 if frame.startswith(b"event:") else 0
    plain = frame.startswith(b"data:", start) and frame.find(b"\n", start) == len(frame) - 2
    return frame[start + 5 :].strip() if plain else (data_alone(frame) or b"data:")[5:].strip()
