"""What of a provider's record goes into the head of a request, refused where it could change what the request is.

Pure: no I/O. Errors never show a value, which may be a secret.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PLAIN_URL: Final = re.compile(r"https?://[\x21-\x7e]+", re.IGNORECASE)
HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
FRAMING: Final = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})


class Address(NamedTuple):
    """A base URL in its parts. `authority` is for the Host header, `path` has no slash at its end."""

    host: str
    port: int
    tls: bool
    authority: str
    path: str


def parse_address(base_url: str) -> Address:
    """Raises ValueError: only http(s)://host[:port][/path] in plain ASCII; no user info, no query, no fragment."""
    if not PLAIN_URL.fullmatch(base_url) or any(character in base_url for character in "@?#\\"):
        raise ValueError("a base URL is http://host[:port]/path or https://…, in ASCII, without user info and query")
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    tls = parts.scheme == "https"
    port = (443 if tls else 80) if parts.port is None else parts.port
    if not HOST.fullmatch(host) or not port:
        raise ValueError("the base URL has no usable host or port")
    return Address(host, port, tls, parts.netloc, parts.path.rstrip("/"))


def clean_headers(headers: dict[str, str]) -> dict[str, str]:
    """Each name once whatever its case, the last one wins; values without outer blanks. Raises ValueError for a name or value
    that is none, and for those that frame a request."""
    clean: dict[str, tuple[str, str]] = {}
    for name, raw in headers.items():
        value = raw.strip()
        if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value) or name.lower() in FRAMING:
            raise ValueError(f"the header {name!r} of a provider is not usable")
        clean[name.lower()] = (name, value)
    return dict(clean.values())
