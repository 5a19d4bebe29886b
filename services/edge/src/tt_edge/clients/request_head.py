"""Which headers of a provider's record go into a request; refused where one could change what the request is.

Pure: no I/O. Errors never show a value, which may be a secret.
"""

import re
from typing import Final

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TARGET: Final = re.compile(r"/[\x21-\x7e]*")
VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
FRAMING: Final = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})


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
