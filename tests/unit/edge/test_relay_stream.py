"""Streams that end badly: each is settled once on what was produced, its hold ends, and its idempotency key is kept or freed."""

import json
from pathlib import Path

import pytest

from tests.unit.edge.relay_fakes import OUTPUT_TOKEN_NANOUSD, Client, Provider, Relay
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.domain.event_ids import uncharged_id
from tt_edge.protocols import exchange

WALLET = 10**9
STALLED_S = 0.06
CHECK_S = 0.02


def delta(text: str | None, finish: str | None = None) -> bytes:
    fields = {"role": "assistant"} if text is None else {"content": text}
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "gpt-4o-mini", "choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def relay(tmp_path: Path) -> Relay:
    return Relay(tmp_path, WALLET, hold_output_tokens=1000)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STALLED_S", STALLED_S)
    monkeypatch.setattr(exchange, "STALL_CHECK_S", CHECK_S)


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_stops_reading_is_settled_on_what_was_delivered(relay: Relay) -> None:
    # given a client that takes one part and then nothing, of a provider that would go on for long
    provider, client = Provider([delta(None), *[delta("word")] * 5, 60.0]), Client(parts=1)

    # when
    event = await relay.run(provider, client)

    # then the provider is left, and what was handed to the client's connection is charged
    assert provider.closed
    assert (event.outcome, event.usage_source, event.usage.output_tokens) == ("client_disconnected", "estimated", 1)
    assert event.cost_nanousd == OUTPUT_TOKEN_NANOUSD
    assert relay.call.hold is not None
    assert (relay.call.hold.grant.holds, relay.call.hold.grant.spent_nanousd) == (0, event.cost_nanousd)


@pytest.mark.usefixtures("impatient")
async def test_a_slow_provider_is_no_stalled_client(relay: Relay) -> None:
    provider = Provider([delta("a"), STALLED_S * 3, delta("b", "stop"), USAGE, DONE])
    event = await relay.run(provider, Client())
    assert (event.outcome, event.usage.output_tokens) == ("succeeded", 3)


@pytest.mark.usefixtures("impatient")
async def test_an_idempotent_call_runs_to_its_end_without_its_reader(relay: Relay) -> None:
    # given a client that takes nothing, of a provider that pauses for longer than the checks for it are apart
    relay.under_idempotency_key()
    provider = Provider([delta("a"), delta("b"), STALLED_S * 3, delta("c", "stop"), USAGE, DONE])

    # when
    event = await relay.run(provider, Client(parts=0))

    # then the whole answer is kept for the retry, and charged once
    assert (event.outcome, event.usage_source, event.id) == ("client_disconnected", "provider", relay.call.id)
    [kept] = relay.answers.finished
    assert kept == delta("a") + delta("b") + delta("c", "stop") + DONE
    assert relay.answers.released == 0


async def test_an_idempotent_stream_that_broke_before_any_output_frees_its_key(relay: Relay) -> None:
    # given a provider that breaks off after the role
    claimed = relay.under_idempotency_key()
    provider, client = Provider([delta(None), UpstreamFailure("broken", "reset")]), Client()

    # when
    event = await relay.run(provider, client)

    # then nothing is charged, the call's own id stays free for the retry's charge, and the client is told
    assert (event.outcome, event.usage_source, event.cost_nanousd) == ("upstream_broken", "none", 0)
    assert event.id == uncharged_id(claimed.event_id)
    assert (relay.answers.released, relay.answers.finished) == (1, [])
    assert b'"code":"upstream_error"' in client.taken[-1]


async def test_an_idempotent_stream_that_broke_after_output_is_charged_and_kept(relay: Relay) -> None:
    claimed = relay.under_idempotency_key()
    provider, client = Provider([delta("one"), UpstreamFailure("broken", "reset")]), Client()
    event = await relay.run(provider, client)
    assert (event.outcome, event.usage_source, event.id) == ("upstream_broken", "estimated", claimed.event_id)
    assert event.cost_nanousd == OUTPUT_TOKEN_NANOUSD
    assert relay.answers.released == 0
    assert relay.answers.finished == [b"".join(client.taken)]


@pytest.mark.parametrize(
    ("away", "code", "reason"),
    [(False, "billing_shortfall", "balance is used up"), (True, "billing_unavailable", "No more credit")],
)
async def test_a_stream_that_outgrows_its_hold_is_cut_with_the_reason(
    tmp_path: Path, away: bool, code: str, reason: str
) -> None:
    # given a hold of ten tokens: all that the wallet has, or all that can be had
    relay = Relay(tmp_path, 10 * OUTPUT_TOKEN_NANOUSD if not away else WALLET, hold_output_tokens=10)

    def after_the_hold() -> None:
        relay.billing.away = away

    # when more is produced
    client = Client()
    event = await relay.run(Provider([after_the_hold, *[delta(" word")] * 40, delta("", "stop"), DONE]), client)

    # then the client is told why, and nobody spends what was not held
    assert (event.outcome, event.error_code) == ("cut_off", code)
    assert event.cost_nanousd == 10 * OUTPUT_TOKEN_NANOUSD
    assert reason.encode() in client.taken[-1]
    assert b"[DONE]" not in b"".join(client.taken)
