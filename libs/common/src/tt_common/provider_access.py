"""Where a provider may be and which secret it may be sent: one set of rules for the console, which stores it, and the edge, which calls it.

Pure: no I/O, no name is resolved. Errors never show a value, which may be a secret.
"""

import ipaddress
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PLAIN_URL: Final = re.compile(r"https?://[\x21-\x7e]+", re.IGNORECASE)
HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
# What the C library reads as an address besides four decimal numbers: 127.1, 0x7f.0.0.1, 2130706433.
ODD_ADDRESS: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
# Only variables that are named as API keys: never a service's own password or URL.
KEY_REF: Final = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,119}_API_KEY)")
LOCAL_NAMES: Final = ("localhost", ".localhost", ".local", ".internal")

GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
NAT64: Final = IPv6Network("64:ff9b::/96")
COMPATIBLE: Final = IPv6Network("::/96")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class ProviderUrl(NamedTuple):
    """A base URL in its parts. `authority` is for the Host header, `path` has no slash at its end."""

    host: str
    port: int
    tls: bool
    authority: str
    path: str


def parse_provider_url(base_url: str) -> ProviderUrl:
    """Raises ValueError: only http(s)://host[:port][/path] in plain ASCII; no user info, no query, no fragment, no odd address,
    no link-local one."""
    if not PLAIN_URL.fullmatch(base_url) or any(character in base_url for character in "@?#\\"):
        raise ValueError("a base URL is http://host[:port]/path or https://…, in ASCII, without user info and query")
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    tls = parts.scheme == "https"
    port = (443 if tls else 80) if parts.port is None else parts.port
    if not HOST.fullmatch(host) or not port:
        raise ValueError("the base URL has no usable host or port")
    if _address(host) is None and (":" in host or ODD_ADDRESS.fullmatch(host)):
        raise ValueError("an address is four decimal numbers, or IPv6 in brackets")
    if is_link_local(host):
        raise ValueError("a link-local address is no provider's")
    return ProviderUrl(host, port, tls, parts.netloc, parts.path.rstrip("/"))


def is_private(host: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a host is, by its name alone, not on the public Internet and in none of `allowed`.

    A name that only this network knows could be any of its addresses: it is private unless some are allowed.
    """
    address = _address(host)
    if address is None:
        name = host.lower().rstrip(".")
        local = any(name == suffix or (suffix[0] == "." and name.endswith(suffix)) for suffix in LOCAL_NAMES)
        return (local or "." not in name) and not allowed
    return not _is_public(address) and not any(address in network for network in allowed)


def is_address(host: str) -> bool:
    """Whether a host is a literal address and no name."""
    return _address(host) is not None


def is_among(host: str, networks: Sequence[Network]) -> bool:
    """Whether a host is an address in one of `networks`."""
    address = _address(host)
    return address is not None and any(address in network for network in networks)


def is_link_local(host: str) -> bool:
    """Whether an address is one where clouds keep their metadata and credentials. No provider is ever there."""
    address = _address(host)
    return address is not None and (address.is_link_local or address == IPv6Address("fd00:ec2::254"))


def key_variable(key_ref: str) -> str:
    """The environment variable that a reference names. ValueError where it names something that is no API key."""
    match = KEY_REF.fullmatch(key_ref)
    if match is None:
        raise ValueError("a key reference is env: and the name of a variable that ends in _API_KEY")
    return match[1]


def _address(host: str) -> Address | None:
    """A literal address, an IPv4 one inside IPv6 as itself; None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    """Of IPv6 only what is handed out as global unicast: nobody's address is elsewhere."""
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast
