"""A database belongs to one xpub and one network for ever: addresses of another would be shown, and their money missed."""

from typing import Final

from tt_deposits.usecases.context import Context

PUBLISHED: Final = frozenset({"d8a0788b320c7f3db4d4ea1406254555", "924448cfcb6cd8e5480d3384d22bd536"})
"""Fingerprints of account 0 of the test seeds `all` twelve times (Trezor's firmware) and `abandon` … `about` (BIP 39)."""


async def pin_xpub(context: Context, wanted_fingerprint: str) -> None:
    """Pins at the first start; RuntimeError where the xpub is another than settings or database know, or the network is."""
    fingerprint, network = context.key.fingerprint, context.rules.network
    if network == "mainnet" and fingerprint in PUBLISHED:
        raise RuntimeError(
            "DEPOSITS_XPUB is of a published test seed: everybody can take what is sent to its addresses"
        )
    if wanted_fingerprint and wanted_fingerprint.lower() != fingerprint:
        raise RuntimeError(f"DEPOSITS_XPUB has the fingerprint {fingerprint}, DEPOSITS_XPUB_FINGERPRINT says another")
    async with context.database.begin() as unit:
        pinned_network, pinned = await unit.pin_xpub(network, fingerprint, context.now_ms())
    if pinned != fingerprint:
        raise RuntimeError(f"DEPOSITS_XPUB has the fingerprint {fingerprint}, the database's addresses are of {pinned}")
    if pinned_network != network:
        raise RuntimeError(f"DEPOSITS_NETWORK is {network}, the database is of {pinned_network}")
