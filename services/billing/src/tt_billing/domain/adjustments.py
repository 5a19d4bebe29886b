"""Credits and debits that are not usage: an operator's adjustment, a deposit."""

import msgspec

from tt_billing.domain.book import Book, Bucket, Transfer
from tt_common.contracts.events import WalletAdjusted
from tt_common.contracts.wallets import AdjustWallet
from tt_common.errors import DomainError
from tt_common.ids import derived_event_id, sha256_hex

SOURCE = "adjust"


def body_hash(request: AdjustWallet) -> str:
    """What must be the same for the same request id."""
    return sha256_hex(msgspec.json.encode(request).decode())


def adjust(book: Book, request: AdjustWallet) -> Transfer:
    """Move the amount between `available` and the house. Raises billing_shortfall for a debit beyond what is available."""
    wallet = book.wallets[request.account_id]
    amount = request.amount_nanousd
    if amount < 0 and -amount > wallet.available_nanousd:
        raise DomainError(
            "billing_shortfall",
            "the debit is more than what is available",
            available_nanousd=wallet.available_nanousd,
            need_nanousd=-amount,
        )
    house: Bucket = "receipts" if request.kind == "deposit" else "adjustments"
    transfer = book.post(
        request.kind,
        request.account_id,
        house if amount > 0 else "available",
        "available" if amount > 0 else house,
        abs(amount),
        source=SOURCE,
        source_id=request.request_id,
        details={"reason": request.reason, "actor": request.actor, "body_sha256": body_hash(request)},
    )
    book.events.append(
        WalletAdjusted(
            id=derived_event_id("wallet_adjusted", request.request_id),
            account_id=request.account_id,
            kind=request.kind,
            amount_nanousd=amount,
            available_nanousd=wallet.available_nanousd,
            reason=request.reason,
            actor=request.actor,
            booked_at_ms=book.booked_at_ms,
        )
    )
    return transfer
