"""Addresses from the operator's account xpub: BIP32's public derivation of `0/i`, then TRON's address of the key.

Invariant: there is no private key here, and text that holds one is refused without being repeated. Checked against published vectors
of Trezor and bip-utils.
"""

import hashlib
import hmac
from typing import Final, NamedTuple

from coincurve import PublicKey
from Crypto.Hash import keccak

from tt_deposits.domain.base58 import decode_check

XPUB_VERSION: Final = bytes.fromhex("0488b21e")
PRIVATE_VERSIONS: Final = frozenset(
    bytes.fromhex(version) for version in ("0488ade4", "04358394", "049d7878", "04b2430c", "0295b005", "02aa7a99")
)
"""xprv, tprv, and the private ones of SLIP-132."""
XPUB_BYTES: Final = 78
ACCOUNT_DEPTH: Final = 3
HARDENED: Final = 0x8000_0000
EXTERNAL_CHAIN: Final = 0
WIF_FIRST_BYTES: Final = frozenset({0x80, 0xEF})
FINGERPRINT_DIGITS: Final = 32


class WrongXpub(ValueError):
    """The text is not the xpub of an account. Says why, and never what it was."""


class _Node(NamedTuple):
    key: PublicKey
    packed: bytes
    """Compressed, 33 bytes."""
    chain_code: bytes


class AccountKey:
    """The xpub at `m/44'/195'/A'`. `fingerprint` names its key and chain code: 32 hex digits of their SHA-256."""

    def __init__(self, xpub: str) -> None:
        """Raises WrongXpub."""
        payload = _payload(xpub.strip())
        child = int.from_bytes(payload[9:13], "big")
        if payload[4] != ACCOUNT_DEPTH:
            raise WrongXpub(
                f"the xpub is at depth {payload[4]}; an account's, m/44'/195'/A', is at depth {ACCOUNT_DEPTH}"
            )
        if child < HARDENED:
            raise WrongXpub("the xpub's child number is not hardened; an account's, m/44'/195'/A', is")
        try:
            key = PublicKey(payload[45:])
        except ValueError:
            raise WrongXpub("the xpub's key is not a point of the curve") from None
        self.account = child - HARDENED
        self.fingerprint = hashlib.sha256(payload[13:]).hexdigest()[:FINGERPRINT_DIGITS]
        external, chain_code = _child(_Node(key, payload[45:], payload[13:45]), EXTERNAL_CHAIN)
        self._external = _Node(external, external.format(), chain_code)

    def path(self, index: int) -> str:
        """Where the address is on the device."""
        return f"m/44'/195'/{self.account}'/{EXTERNAL_CHAIN}/{index}"

    def address(self, index: int) -> bytes:
        """The 20 bytes of child `0/index`. ValueError for an index that can't be derived from an xpub."""
        if not 0 <= index < HARDENED:
            raise ValueError("an index is below 2**31")
        key, _ = _child(self._external, index)
        return keccak.new(data=key.format(compressed=False)[1:], digest_bits=256).digest()[-20:]


def _child(parent: _Node, index: int) -> tuple[PublicKey, bytes]:
    """BIP32's CKDpub: key and chain code. A tweak that makes no point (chance 2**-127) raises ValueError."""
    digest = hmac.digest(parent.chain_code, parent.packed + index.to_bytes(4, "big"), "sha512")
    return parent.key.add(digest[:32]), digest[32:]


def _payload(text: str) -> bytes:
    try:
        payload = decode_check(text)
    except ValueError:
        raise WrongXpub("this is not an xpub: base58check does not fit") from None
    if payload[:4] in PRIVATE_VERSIONS or (payload[0] in WIF_FIRST_BYTES and len(payload) in (33, 34)):
        raise WrongXpub("this is a private key; the service takes none. Make a new wallet: this one's key was shown")
    if len(payload) != XPUB_BYTES or payload[:4] != XPUB_VERSION:
        raise WrongXpub("this is not an xpub: it begins with `xpub` and has 111 characters")
    if payload[45] not in (2, 3):
        raise WrongXpub("this is not an xpub: it holds no compressed public key")
    return payload
