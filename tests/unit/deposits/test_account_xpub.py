"""The script of docs/deposits.md that puts a Ledger's xpub together is right, by a published vector."""

from typing import Any

from bip_utils import Bip32Slip10Secp256k1

from tests.tidy.project import ROOT, text

# Account 0 of the published test seed of Trezor's firmware.
XPUB = "xpub6DCWphzD1URX6NLY4bzJQoNz3Ja14ueGphAz3c7XdzyfR3hbsv4XybKuXVPSGFiASvcugTyiJrQyw5u33izp6rB1W9fgZM4ugKQJQBcEFo8"


def test_the_documented_script_makes_an_xpub_that_derives_the_same_addresses() -> None:
    # given what a device would answer for the account
    account = Bip32Slip10Secp256k1.FromExtendedKey(XPUB)
    key, chain_code = account.PublicKey().RawUncompressed().ToBytes(), account.ChainCode().ToBytes()

    # when the script puts it together
    script: dict[str, Any] = {"__name__": "account_xpub"}
    exec(text(ROOT / "docs" / "deposits.md").split("```python\n")[1].split("```")[0], script)
    made = Bip32Slip10Secp256k1.FromExtendedKey(script["xpub"](key, chain_code, 0))

    # then it is the same account
    assert (made.Depth().ToInt(), made.Index().ToInt()) == (3, 0x80000000)
    for index in range(3):
        one, other = (node.DerivePath(f"0/{index}").PublicKey().RawCompressed() for node in (made, account))
        assert one == other
