"""May this key make this call? Pure checks on a key record; each failure says which rule it broke."""

import ipaddress
from functools import lru_cache

from tt_common.contracts.records import KeyRecord
from tt_common.errors import DomainError
from tt_edge.domain.refusals import invalid_key, model_not_allowed

RANGES_CACHED_MAX = 4096


def check_key(key: KeyRecord, now_ms: int) -> None:
    """Raises invalid_api_key unless the key is active and not expired."""
    if key.status == "active" and (key.expires_at_ms is None or now_ms < key.expires_at_ms):
        return
    reasons = {
        "disabled": "This API key is disabled.",
        "rotated": "This API key was rotated; use the new one.",
        "deleted": "This API key was deleted.",
        "active": "This API key has expired.",
    }
    raise invalid_key(reasons[key.status])


def check_address(key: KeyRecord, address: str) -> None:
    """Raises model_not_allowed where the key has an IP list and `address` is not in it."""
    if key.ip_ranges is None:
        return
    try:
        client = _parsed(address)
    except ValueError:
        raise model_not_allowed("This API key is bound to client addresses, and yours is unknown.") from None
    if not any(client in network for network in _networks(key.ip_ranges)):
        raise model_not_allowed(f"This API key may not be used from {address}.")


def may_use(key: KeyRecord, model: str) -> bool:
    """Whether the key's model list (if it has one) names the model."""
    return key.models is None or model in key.models


def check_model(key: KeyRecord, model: str) -> None:
    """Raises model_not_allowed where the key's model list excludes the model."""
    if not may_use(key, model):
        error: DomainError = model_not_allowed(f"This API key may not use the model '{model}'.")
        error.data["param"] = "model"
        raise error


def client_address(peer: str, forwarded_for: str | None, trusted_proxies: tuple[str, ...]) -> str:
    """The client's address: the peer, or behind trusted proxies the last X-Forwarded-For entry that is not one of them."""
    if not trusted_proxies or not forwarded_for or not _is_trusted(peer, trusted_proxies):
        return peer
    for hop in reversed([part.strip() for part in forwarded_for.split(",")]):
        if not _is_trusted(hop, trusted_proxies):
            return hop
    return peer


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; an IPv4 one that came over an IPv6 socket as IPv4. ValueError where it is none."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _is_trusted(address: str, trusted_proxies: tuple[str, ...]) -> bool:
    try:
        parsed = _parsed(address)
    except ValueError:
        return False
    return any(parsed in network for network in _networks(trusted_proxies))


@lru_cache(maxsize=RANGES_CACHED_MAX)
def _networks(ranges: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in ranges)
