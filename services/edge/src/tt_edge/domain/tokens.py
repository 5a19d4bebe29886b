"""Token counts, offline: o200k by rs-bpe for up to 64 KiB of text, a bound from the bytes above that.

Tokenizing must not block the loop: 64 KiB take about 1.5 ms. Prompts repeat (instructions, tools, all earlier turns), so the
counts of their texts are remembered, by hash: never a text itself.
"""

# pyright: reportUnknownMemberType=false
# (rs-bpe has no types)

from typing import Any, Final, cast

from rs_bpe.bpe import openai  # pyright: ignore[reportUnknownVariableType]

TEXT_BYTES_MAX: Final = 64 * 1024
BYTES_PER_TOKEN_MIN: Final = 2
"""Prose has about 4 bytes a token, CJK about 3, base64 about 2: above the limit a hold assumes the densest."""

CHARS_PER_TOKEN: Final = 4
"""Of a stream under way, for the question whether the hold still covers; its end is counted exactly."""
COUNTS_REMEMBERED_MAX: Final = 32_768

_encoding: Any = cast("Any", openai).o200k_base()


_counts: dict[tuple[int, int], int] = {}


def count_tokens(texts: list[str]) -> int:
    """Tokens of all texts together, exact for the o200k vocabulary or a bound for long ones."""
    return _bounded(texts) or sum(_encoding.count(text) for text in texts)


def count_prompt_tokens(texts: list[str]) -> int:
    """The same, for texts that are likely to come again."""
    return _bounded(texts) or sum([_remembered(text) for text in texts])


def _bounded(texts: list[str]) -> int:
    size_bytes = sum([len(text) if text.isascii() else len(text.encode()) for text in texts])
    return size_bytes // BYTES_PER_TOKEN_MIN + 1 if size_bytes > TEXT_BYTES_MAX else 0


def _remembered(text: str) -> int:
    # str hashes are keyed anew in each process, so nobody can aim at a collision; it would only size a hold.
    key = (hash(text), len(text))
    count = _counts.get(key)
    if count is None:
        count = _encoding.count(text)
        if len(_counts) >= COUNTS_REMEMBERED_MAX:
            del _counts[next(iter(_counts))]
        _counts[key] = count
    return count
