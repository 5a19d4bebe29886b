"""`visible: true`: addresses in base58check instead of hex, messages as text. Also those of logs, which then carry their 41."""

from typing import Any, Final

import orjson

from tt_sandbox.chain.addresses import parse, to_base58

ADDRESSES: Final = frozenset({"address", "owner_address", "to_address", "contract_address", "witness_address"})
TEXTS: Final = frozenset({"resMessage"})


def made_visible(told: bytes) -> bytes:
    """The same answer as it is told to who asks with `visible: true`."""
    return orjson.dumps(_shown(orjson.loads(told)))


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    return {key: _field(key, item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _field(key: str, value: Any) -> Any:
    if isinstance(value, str) and key in ADDRESSES:
        return to_base58(parse(value))
    if isinstance(value, str) and key in TEXTS:
        return bytes.fromhex(value).decode()
    return _shown(value)
