"""A database belongs to one xpub and one network for ever: addresses of another would be shown, and their money missed."""

from tt_deposits.usecases.context import Context


async def pin_xpub(context: Context, wanted_fingerprint: str) -> None:
    """Pins at the first start; RuntimeError where the xpub is another than settings or database know, or the network is."""
    fingerprint, network = context.key.fingerprint, context.rules.network
    if wanted_fingerprint and wanted_fingerprint.lower() != fingerprint:
        raise RuntimeError(f"DEPOSITS_XPUB has the fingerprint {fingerprint}, DEPOSITS_XPUB_FINGERPRINT says another")
    async with context.database.begin() as unit:
        pinned_network, pinned = await unit.pin_xpub(network, fingerprint, context.now_ms())
    if pinned != fingerprint:
        raise RuntimeError(f"DEPOSITS_XPUB has the fingerprint {fingerprint}, the database's addresses are of {pinned}")
    if pinned_network != network:
        raise RuntimeError(f"DEPOSITS_NETWORK is {network}, the database is of {pinned_network}")
