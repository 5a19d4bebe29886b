"""Credit for the accounts of a benchmark, by billing's own RPC."""

from nats.aio.client import Client

from tt_common.bus.rpc import call
from tt_common.contracts import wallets

TIMEOUT_S = 10.0


async def give_credit(nc: Client, account_id: str, amount_nanousd: int) -> None:
    """Once for an account; again, it changes nothing."""
    credit = wallets.AdjustWallet(
        request_id=f"bench:{account_id}",
        account_id=account_id,
        amount_nanousd=amount_nanousd,
        reason="benchmark",
        actor="bench",
    )
    await call(nc, wallets.WALLET_ADJUST, credit, wallets.WalletState, TIMEOUT_S)
