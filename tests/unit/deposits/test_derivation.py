"""Addresses are those that the operator's device shows, and no private key is ever taken."""

import hashlib
from collections.abc import Callable

import pytest
from bip_utils import Bip32KeyNetVersions, Bip32Slip10Secp256k1, Bip44, Bip44Changes, Bip44Coins
from bip_utils.bip.bip44_base import Bip44Base
from hypothesis import given
from hypothesis import strategies as st

from tt_deposits.domain.base58 import address_text, decode_check, encode_check
from tt_deposits.domain.derivation import AccountKey, WrongXpub

TREZOR = (
    "xpub6DCWphzD1URX6NLY4bzJQoNz3Ja14ueGphAz3c7XdzyfR3hbsv4XybKuXVPSGFiASvcugTyiJrQyw5u33izp6rB1W9fgZM4ugKQJQBcEFo8"
)
TREZOR_ADDRESSES = (
    "TY72iA3SBtrds3QLYsS7LwYfkzXwAXCRWT",
    "TFz2CJn9CJb8C4i1Gke3jmZX2fRMJxniH2",
    "TQSw9qVAigRwfgPdf7aW4wxbG9tFitexg2",
)
BIP_UTILS = (
    "xpub6D1AabNHCupeiLM65ZR9UStMhJ1vCpyV4XbZdyhMZBiJXALQtmn9p42VTQckoHVn8WNqS7dqnJokZHAHcHGoaQgmv8D45oNUKx6DZMNZBCd"
)
BIP_UTILS_ADDRESSES = (
    "TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH",
    "TSeJkUh4Qv67VNFwY8LaAxERygNdy6NQZK",
    "TYJPRrdB5APNeRs4R7fYZSwW3TcrTKw2gx",
    "TRhVWK5XEDkQBDevcdCWW7RW51aRncty4W",
    "TT2X2yyubp7qpAWYYNE5JQWBtoZ7ikQFsY",
)
# The first address of accounts 1 and 2 of Trezor's vectors; their seed is the mnemonic "all" twelve times.
TREZOR_SEED = hashlib.pbkdf2_hmac("sha512", b" ".join([b"all"] * 12), b"mnemonic", 2048)
OTHER_ACCOUNTS = {1: "TNPgkSKfz2xS39fcyfrouz7QPbkkJaDLYv", 2: "TUKx4Z56RMrYWzAu1qoiDSHQTNiSgYHYyF"}
SEEDS = st.binary(min_size=16, max_size=64)


def account_of(seed: bytes, account: int) -> Bip44Base:
    return Bip44.FromSeed(seed, Bip44Coins.TRON).Purpose().Coin().Account(account)


@pytest.mark.parametrize(("xpub", "addresses"), [(TREZOR, TREZOR_ADDRESSES), (BIP_UTILS, BIP_UTILS_ADDRESSES)])
def test_published_vectors_come_out(xpub: str, addresses: tuple[str, ...]) -> None:
    key = AccountKey(xpub)
    assert tuple(address_text(key.address(index)) for index in range(len(addresses))) == addresses


@pytest.mark.parametrize(("account", "address"), OTHER_ACCOUNTS.items())
def test_other_accounts_of_the_published_seed_come_out(account: int, address: str) -> None:
    key = AccountKey(account_of(TREZOR_SEED, account).PublicKey().ToExtended())
    assert address_text(key.address(0)) == address
    assert key.path(7) == f"m/44'/195'/{account}'/0/7"


@given(seed=SEEDS, account=st.integers(0, 2**31 - 1), index=st.integers(0, 2**31 - 1))
def test_every_address_is_the_oracles(seed: bytes, account: int, index: int) -> None:
    oracle = account_of(seed, account)
    child = oracle.Change(Bip44Changes.CHAIN_EXT).AddressIndex(index)
    key = AccountKey(oracle.PublicKey().ToExtended())
    assert address_text(key.address(index)) == child.PublicKey().ToAddress()


def test_the_fingerprint_names_the_key_however_the_xpub_was_built() -> None:
    """A Ledger doesn't tell the parent's fingerprint, so who builds an xpub from what it says leaves zeros there."""
    payload = decode_check(TREZOR)
    rebuilt = encode_check(payload[:5] + bytes(4) + payload[9:])
    assert AccountKey(rebuilt).fingerprint == AccountKey(TREZOR).fingerprint
    assert AccountKey(BIP_UTILS).fingerprint != AccountKey(TREZOR).fingerprint


def changed(change: Callable[[bytearray], None]) -> str:
    payload = bytearray(decode_check(TREZOR))
    change(payload)
    return encode_check(bytes(payload))


def put(at: int, text: str) -> Callable[[bytearray], None]:
    def change(payload: bytearray) -> None:
        value = bytes.fromhex(text)
        payload[at : at + len(value)] = value

    return change


def private_keys() -> list[str]:
    account = account_of(TREZOR_SEED, 0)
    versions = [bytes.fromhex(v) for v in ("04358394", "049d7878", "04b2430c")]
    others = [
        Bip32Slip10Secp256k1.FromSeedAndPath(
            TREZOR_SEED, "m/44'/195'/0'", Bip32KeyNetVersions(bytes.fromhex("0488b21e"), v)
        )
        for v in versions
    ]
    raw = account.PrivateKey().Raw().ToBytes()
    wif = [encode_check(b"\x80" + raw), encode_check(b"\x80" + raw + b"\x01"), encode_check(b"\xef" + raw)]
    return [account.PrivateKey().ToExtended(), *(other.PrivateKey().ToExtended() for other in others), *wif]


@pytest.mark.parametrize("text", private_keys())
def test_a_private_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(WrongXpub, match="this is a private key") as refused:
        AccountKey(text)
    assert text[:12] not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "base58check"),
        ("all all all all", "base58check"),
        (TREZOR[:-1] + "9", "base58check"),
        (TREZOR_ADDRESSES[0], "begins with `xpub`"),
        (changed(put(0, "043587cf")), "begins with `xpub`"),
        (changed(put(4, "04")), "depth 4"),
        (changed(put(4, "00")), "depth 0"),
        (changed(put(9, "00000000")), "not hardened"),
        (changed(put(45, "00")), "no compressed public key"),
        (changed(put(46, "00" * 32)), "not a point"),
        (changed(put(46, "ff" * 32)), "not a point"),
    ],
)
def test_what_is_no_xpub_of_an_account_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(WrongXpub, match=why):
        AccountKey(text)


@pytest.mark.parametrize("index", [-1, 2**31])
def test_an_index_that_only_a_private_key_reaches_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="an index"):
        AccountKey(TREZOR).address(index)
