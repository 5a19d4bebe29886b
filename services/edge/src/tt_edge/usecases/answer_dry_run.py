"""X-TT-Dry-Run: what a call would cost, without calling anybody."""

from typing import Final

import msgspec

from tt_common.money import format_usd
from tt_edge.domain.refusals import all_providers_unavailable
from tt_edge.protocols.exchange import Exchange
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers

JSON: Final = b"application/json"


def is_dry_run(exchange: Exchange) -> bool:
    """Whether the caller only asks."""
    return exchange.headers.get(b"x-tt-dry-run", b"").lower() == b"true"


async def answer_dry_run(gateway: Gateway, exchange: Exchange, call: Call) -> None:
    """Everything but the call: the hold is placed and released, nothing is charged."""
    assert call.hold is not None and call.model is not None and call.price is not None and call.estimate is not None
    routes = gateway.routes.plan(call.model, gateway.catalog.providers)
    if not routes:
        raise all_providers_unavailable(gateway.routes.retry_after_s(call.model))
    hold, headers = call.hold, call_headers(call, JSON)
    call.hold = None
    gateway.credit.release(hold)
    body = {
        "object": "dry_run",
        "model": call.model.id,
        "provider": routes[0].provider,
        "estimate": {
            "input_tokens": call.estimate.input_tokens,
            "output_tokens": call.estimate.output_tokens * call.estimate.choices,
            "cost_usd": format_usd(call.estimate.hold_nanousd),
            "price_version": call.price.version,
        },
        "hold": {"id": hold.id, "amount_usd": format_usd(hold.amount_nanousd), "released": True},
        "balance_usd": format_usd(hold.grant.available_nanousd + hold.grant.free_nanousd),
    }
    await exchange.respond(200, headers, msgspec.json.encode(body))
