"""POST /v1/embeddings: deterministic unit vectors, the same text always giving the same vector."""

# Foreign JSON is walked here; its parts have no static type.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import base64
import hashlib
import math
from array import array
from functools import lru_cache
from typing import Any

import orjson

from tt_sandbox.provider.content import count_tokens
from tt_sandbox.provider.dialect import Asked, RequestRefused
from tt_sandbox.provider.records import TokenCounts
from tt_sandbox.provider.switches import Switches
from tt_sandbox.provider.wire import Exchange

INPUTS_MAX = 2_048
DIMENSIONS_MAX = 4_096
DIMENSIONS_DEFAULT = 1_536
# By a part of the name: providers put an organisation before it and a version behind.
DIMENSIONS = {"nomic-embed-text": 768, "mxbai-embed-large": 1_024, "text-embedding-3-large": 3_072}


async def answer(exchange: Exchange, asked: Asked) -> None:
    """Answers one embedding call. Raises RequestRefused."""
    call = exchange.call
    payload, tokens = embed(asked.model, asked.body, asked.switches)
    call.id = f"embd-sandbox{call.seq:012d}"
    call.expect(TokenCounts(input=tokens))
    if not asked.switches.omit_usage:
        call.vendor_usage = orjson.dumps({"prompt_tokens": tokens, "total_tokens": tokens})
    await exchange.answer(200, payload)


def embed(model: str, body: dict[str, Any], switches: Switches) -> tuple[bytes, int]:
    """The answer's body and its prompt tokens. Raises RequestRefused."""
    inputs = _inputs(body.get("input"))
    dimensions: Any = body.get("dimensions") or _dimensions(model)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= DIMENSIONS_MAX:
        raise RequestRefused(f"'dimensions' must be an integer between 1 and {DIMENSIONS_MAX}.")
    as_base64 = body.get("encoding_format") == "base64"
    data: list[dict[str, Any]] = []
    tokens = 0
    for index, item in enumerate(inputs):
        text = item if isinstance(item, str) else " ".join(map(str, item))
        tokens += max(1, count_tokens(text))
        vector = _unit_vector(text, dimensions)
        embedding = base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    if switches.prompt_tokens is not None:
        tokens = switches.prompt_tokens
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if not switches.omit_usage:
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps(answer), tokens


def _dimensions(model: str) -> int:
    return next((size for name, size in DIMENSIONS.items() if name in model), DIMENSIONS_DEFAULT)


def _inputs(value: Any) -> list[str | list[int]]:
    """A string, a list of strings, a list of tokens or a list of token lists, as a list of inputs."""
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(item, int) for item in value)):
        value = [value]
    if not isinstance(value, list) or not 1 <= len(value) <= INPUTS_MAX:
        raise RequestRefused(f"'input' must be a string or an array of 1 to {INPUTS_MAX} inputs.")
    for item in value:
        tokens = isinstance(item, list) and item and all(isinstance(token, int) for token in item)
        if not (tokens or (isinstance(item, str) and item)):
            raise RequestRefused("'input' must hold non-empty strings or token arrays.")
    return value


@lru_cache(maxsize=4_096)
def _unit_vector(text: str, dimensions: int) -> "array[float]":
    """32-bit floats, little-endian on every machine this runs on, as OpenAI's base64 form is."""
    raw = array("h", hashlib.shake_256(text.encode()).digest(dimensions * 2))
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return array("f", [value / length for value in raw])
