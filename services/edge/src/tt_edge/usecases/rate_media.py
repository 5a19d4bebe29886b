"""What a call for images or audio used and costs: by what its price counts, on what was really produced."""

from tt_common.contracts.events import Outcome
from tt_common.rating import Usage, cost_nanousd
from tt_edge.domain.media import media_used
from tt_edge.domain.tokens import count_tokens
from tt_edge.protocols.openai.media.request import MediaRequest
from tt_edge.protocols.port import Tap
from tt_edge.usecases.gateway import Call
from tt_edge.usecases.settle_call import NO_CHARGE, TIER_CHARACTERS_MAX, Settlement

NOTHING = Usage()


def rate_media(call: Call, said: Usage, texts: list[str], service_tier: str = "") -> Settlement:
    """The provider's figures in full; beyond what was asked for, and where they are our own guess, at most the hold."""
    assert call.price is not None and call.hold is not None and call.model is not None
    request = call.request
    assert isinstance(request, MediaRequest)
    rates = call.price.rates
    missing = request.kind == "transcription" and not rates.second and not said.total_tokens
    used = media_used(request.kind, request.asked, rates, said, count_tokens(["".join(texts)]) if missing else 0)
    tier = service_tier[:TIER_CHARACTERS_MAX]
    cost, flags = cost_nanousd(used.usage, call.price, tier), used.flags
    limit = call.model.max_output_tokens * request.demand.choices
    asked = request.asked
    beyond = used.usage.images > asked.images or 0 < limit < used.usage.output_tokens
    if used.source == "provider" and (beyond or used.usage.seconds > max(asked.seconds_max, 1)):
        flags = (*flags, "usage_beyond_limits")
    if flags:
        cost = min(cost, call.hold.amount_nanousd)
    return Settlement(used.usage, used.source, cost, flags, tier)


def rate_media_stream(call: Call, tap: Tap, outcome: Outcome) -> Settlement:
    """One that ended early is charged for the images, the text or the sound that the client has had."""
    assert call.request is not None
    said = tap.usage or NOTHING
    had = {
        "image": said.images > 0,
        "transcription": bool(tap.texts),
        "speech": outcome == "client_disconnected",  # a provider that breaks off leaves a file that can't be played
    }
    if not tap.complete and not had[call.request.kind]:
        return NO_CHARGE
    return rate_media(call, said, tap.texts, tap.service_tier)
