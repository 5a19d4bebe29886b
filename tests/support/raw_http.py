"""HTTP as bytes on a socket, for what no client library would send."""

import socket
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 4 * 1024 * 1024
TIMEOUT_S = 5.0


def connect(url: str) -> socket.socket:
    """An open connection to the server of `url`."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT_S)


def send(url: str, request: bytes) -> bytes:
    """All that comes back until the server closes the connection; an error where it does not, or sends too much."""
    with connect(url) as connection:
        return talk(connection, request)


def talk(connection: socket.socket, request: bytes) -> bytes:
    """The same on a connection that is open already."""
    answer = b""
    try:
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
            assert len(answer) <= ANSWER_BYTES_MAX
    except (ConnectionResetError, BrokenPipeError):
        pass  # closed with bytes of ours unread
    return answer


def statuses(answer: bytes) -> list[int]:
    """The status of every answer in what came back."""
    return [int(part[1:4]) for part in answer.split(b"HTTP/1.1")[1:]]
