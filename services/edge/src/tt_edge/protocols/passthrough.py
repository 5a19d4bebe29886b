"""JSON bodies that pass through: a few fields get new values, every other byte stays."""

import msgspec

_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_fields(body: bytes, changes: dict[str, tuple[bytes, bytes]]) -> bytes:
    """The object `body` with fields changed: by name, the raw value and the new one. Raises UnicodeDecodeError, RecursionError."""
    changed = body
    for old, new in changes.values():
        if changed.count(old) != 1:  # it stands elsewhere too, so only a parser knows which one is meant
            return _rendered(body, changes)
        changed = changed.replace(old, new)
    return changed


def _rendered(body: bytes, changes: dict[str, tuple[bytes, bytes]]) -> bytes:
    fields = _fields_decoder.decode(body)
    for name, (_, new) in changes.items():
        fields[name] = msgspec.Raw(new)
    return msgspec.json.encode(fields)


def with_cost(raw_usage: bytes, cost_usd: str) -> bytes:
    """A provider's usage object with `cost` (USD, a JSON number with every decimal) added; as it is where it can't be read."""
    if b'"cost' not in raw_usage and b":" in raw_usage and b"\\" not in raw_usage:
        return b'%b,"cost":%b}' % (raw_usage[:-1].rstrip(), cost_usd.encode())
    try:
        fields = _fields_decoder.decode(raw_usage)
    except (UnicodeDecodeError, RecursionError):
        return raw_usage
    fields["cost"] = msgspec.Raw(cost_usd.encode())
    return msgspec.json.encode(fields)
