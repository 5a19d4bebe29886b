"""Server-sent events: bytes cut into events, any split of the bytes gives the same ones."""

from typing import Final

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024


class FrameTooLarge(Exception):
    """A provider sent more than 16 MiB without the end of an event."""


class FrameSplitter:
    """Cuts bytes into SSE events at blank lines, for LF and CRLF alike; keeps what is not complete yet."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Complete events, each with its blank line."""
        buffer = self._buffer + data if self._buffer else data
        if b"\r" in buffer:
            # A carriage return at the end may be half of a line's end.
            ended = not buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n") if ended else buffer[:-1].replace(b"\r\n", b"\n") + b"\r"
        frames: list[bytes] = []
        start = 0
        while (end := buffer.find(b"\n\n", start)) >= 0:
            frames.append(buffer[start : end + 2])
            start = end + 2
        self._buffer = buffer[start:]
        if len(self._buffer) > FRAME_BYTES_MAX:
            raise FrameTooLarge
        return frames

    def rest(self) -> bytes:
        """What came after the last complete event."""
        return self._buffer.strip()


def data_alone(frame: bytes) -> bytes | None:
    """An event of other or several lines (`event:`, `id:`, comments, more `data:`) as one line of data; None where it has none."""
    data = [line[5:].strip() for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"data: " + b" ".join(data) + b"\n\n" if data else None


def payload_of(frame: bytes) -> bytes:
    """The data of an event, empty where it has none."""
    start = frame.find(b"\n") + 1 if frame.startswith(b"event:") else 0
    plain = frame.startswith(b"data:", start) and frame.find(b"\n", start) == len(frame) - 2
    return frame[start + 5 :].strip() if plain else (data_alone(frame) or b"data:")[5:].strip()
