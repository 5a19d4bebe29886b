"""Token counts, offline: o200k by rs-bpe for up to 64 KiB of text, a bound from the bytes above that.

Tokenizing must not block the loop: 64 KiB take about 1.5 ms.
"""

# pyright: reportUnknownMemberType=false
# (rs-bpe has no types)

from typing import Any, Final, cast

from rs_bpe.bpe import openai  # pyright: ignore[reportUnknownVariableType]

TEXT_BYTES_MAX: Final = 64 * 1024
BYTES_PER_TOKEN_MIN: Final = 2
"""Prose has about 4 bytes a token, CJK about 3, base64 about 2: above the limit a hold assumes the densest."""

_encoding: Any = cast("Any", openai).o200k_base()


def count_tokens(texts: list[str]) -> int:
    """Tokens of all texts together, exact for the o200k vocabulary or a bound for long ones."""
    size_bytes = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
    if size_bytes > TEXT_BYTES_MAX:
        return size_bytes // BYTES_PER_TOKEN_MIN + 1
    count = _encoding.count
    return sum(count(text) for text in texts)
