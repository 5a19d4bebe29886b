"""The RPC methods of billing: each checks its request, calls one use case and answers.

A database that can't be reached is `unavailable` to the caller, who sends the same request again; every request is
safe to repeat.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from tt_billing.api import requests as check
from tt_billing.usecases import direct_holds, epochs, prices, usage_records, wallets
from tt_billing.usecases.book_deposits import list_booked_deposits
from tt_billing.usecases.change_grant import change_grant
from tt_billing.usecases.context import Context
from tt_billing.usecases.grant_batch import GrantBatch
from tt_billing.usecases.ports import RecallGrants
from tt_common.bus.rpc import RpcServer
from tt_common.contracts import grants as g
from tt_common.contracts import wallets as w

RequestT = TypeVar("RequestT", bound=msgspec.Struct)


def accept_anything(request: msgspec.Struct) -> None:
    """Requests that only read, by parameters that can't do harm."""


def register(server: RpcServer, context: Context, batch: GrantBatch, recall: RecallGrants) -> None:
    """Add every method to `server`; call before it starts."""

    def serve(
        subject: str,
        request_type: type[RequestT],
        checked: Callable[[RequestT], None],
        handle: Callable[[RequestT], Awaitable[msgspec.Struct]],
    ) -> None:
        async def handler(request: RequestT) -> msgspec.Struct:
            checked(request)
            return await handle(request)

        server.method(subject, request_type, handler)

    async def shrink(request: g.ShrinkGrants) -> g.Ack:
        await batch.shrink(request.grants)
        return g.Ack()

    async def beat(request: g.EpochBeat) -> g.EpochBeatReply:
        reply = await epochs.beat(context, request)
        batch.saw_watermark(request.boot_epoch, reply.watermark)
        return reply

    serve(g.GRANTS_CHANGE, g.ChangeGrant, check.check_change, lambda r: change_grant(batch, recall, r))
    serve(g.GRANTS_SHRINK, g.ShrinkGrants, check.check_shrinks, shrink)
    serve(g.EPOCHS_BEAT, g.EpochBeat, check.check_beat, beat)
    serve(g.EPOCHS_CLOSE, g.CloseEpoch, check.check_beat, lambda r: epochs.close(context, r))
    serve(w.WALLET_ADJUST, w.AdjustWallet, check.check_adjustment, lambda r: wallets.adjust_wallet(context, r))
    serve(w.WALLET_GET, w.GetWallet, lambda r: check.check_ids(r.account_id), lambda r: wallets.get_wallet(context, r))
    serve(
        w.WALLET_CONFIGURE, w.ConfigureWallet, check.check_configuration, lambda r: wallets.configure_wallet(context, r)
    )
    serve(
        w.WALLET_ENTRIES,
        w.ListEntries,
        lambda r: check.check_ids(r.account_id),
        lambda r: wallets.list_entries(context, r),
    )
    serve(w.HOLD_PLACE, w.PlaceHold, check.check_hold, lambda r: direct_holds.place(context, recall, r))
    serve(w.HOLD_CAPTURE, w.CaptureHold, check.check_capture, lambda r: direct_holds.capture(context, r))
    serve(
        w.HOLD_RELEASE,
        w.ReleaseHold,
        lambda r: check.check_ids(r.hold_id, r.account_id),
        lambda r: direct_holds.release(context, r),
    )
    serve(w.PRICE_PUBLISH, w.PublishPrice, check.check_price, lambda r: prices.publish_price(context, r))
    serve(w.PRICE_LIST, w.ListPrices, accept_anything, lambda r: prices.list_prices(context, r))
    serve(
        w.RECEIPT_GET,
        w.GetReceipt,
        lambda r: check.check_ids(r.account_id),
        lambda r: usage_records.get_receipt(context, r),
    )
    serve(w.USAGE_EXPORT, w.ExportUsage, accept_anything, lambda r: usage_records.export_usage(context, r))
    serve(w.KEY_SPEND, w.GetKeySpend, check.check_keys, lambda r: wallets.get_key_spend(context, r))
    serve(w.DEPOSITS_BOOKED, w.ListBookedDeposits, check.check_page, lambda r: list_booked_deposits(context, r))
