"""Webhooks as pure rules: signatures, tries, endpoints that fail, URLs; and the examples of the documentation, run."""

import json
import re
import subprocess
import time
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tidy.project import ROOT
from tt_common.errors import DomainError
from tt_console.domain import webhooks
from tt_console.domain.webhook_events import deposit_webhook, trial_webhook
from tt_console.domain.webhooks import Attempt, Delivery, Endpoint, check_webhook_url

PAGE = ROOT / "docs" / "webhooks.md"
GOOD = Attempt(at_ms=0, duration_ms=1, status_code=204, error="")
BAD = Attempt(at_ms=0, duration_ms=1, status_code=500, error="http_status")
DAY_MS = 86_400_000


def endpoint(**fields: Any) -> Endpoint:
    made = Endpoint(
        id="wh_1",
        account_id="acc_1",
        url="https://receiver.example/",
        description="",
        events=("deposit.credited",),
        status="active",
        disabled_reason="",
        secret=webhooks.new_secret(),
        previous_secret=None,
        previous_until_ms=None,
        failing_since_ms=None,
        created_at_ms=0,
        updated_at_ms=0,
    )
    return msgspec.structs.replace(made, **fields)


def delivery() -> Delivery:
    return Delivery(
        id="whd_1",
        endpoint_id="wh_1",
        account_id="acc_1",
        event_id="e",
        event_type="deposit.credited",
        body="{}",
        status="pending",
        tries=0,
        attempts=0,
        next_attempt_at_ms=0,
        created_at_ms=0,
        finished_at_ms=None,
    )


def test_a_signature_is_that_of_the_standards_own_example() -> None:
    made = webhooks.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_both_secrets_sign_for_a_day_after_a_rotation() -> None:
    old = endpoint()
    new = webhooks.rotated(old, webhooks.new_secret(), 1_000)

    assert webhooks.signing_secrets(old, 1_000) == (old.secret,)
    assert webhooks.signing_secrets(new, 1_000 + DAY_MS - 1) == (new.secret, old.secret)
    assert webhooks.signing_secrets(new, 1_000 + DAY_MS) == (new.secret,)


@given(chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=9, max_size=9))
def test_tries_are_further_and_further_apart_and_then_end(chances: list[float]) -> None:
    now_ms, waits_ms, state = 0, list[int](), delivery()
    for chance in chances:
        state, outcome = webhooks.tried(state, BAD, chance, now_ms)
        if outcome == "retried":
            assert state.next_attempt_at_ms is not None
            waits_ms.append(state.next_attempt_at_ms - now_ms)
            now_ms = state.next_attempt_at_ms

    assert (state.status, state.attempts, state.next_attempt_at_ms, state.finished_at_ms) == ("failed", 9, None, now_ms)
    for wait_ms, delay_s in zip(waits_ms, webhooks.RETRY_DELAYS_S, strict=True):
        assert 0.8 * delay_s * 1_000 <= wait_ms <= 1.2 * delay_s * 1_000


def test_a_delivery_that_was_given_up_meanwhile_stays_failed_unless_it_arrived() -> None:
    given_up = msgspec.structs.replace(delivery(), status="failed", next_attempt_at_ms=None, finished_at_ms=5)

    late, _ = webhooks.tried(given_up, BAD, 0.5, 9)
    arrived, outcome = webhooks.tried(given_up, GOOD, 0.5, 9)

    assert (late.status, late.finished_at_ms, late.next_attempt_at_ms) == ("failed", 5, None)
    assert (arrived.status, outcome) == ("delivered", "delivered")


def test_an_endpoint_is_disabled_after_days_without_a_delivery_and_not_before() -> None:
    failing = webhooks.reached(endpoint(), BAD, 1_000)
    still = webhooks.reached(failing, BAD, 1_000 + webhooks.DISABLE_AFTER_MS - 1)
    over = webhooks.reached(still, BAD, 1_000 + webhooks.DISABLE_AFTER_MS)

    assert (failing.status, failing.failing_since_ms) == ("active", 1_000)
    assert still == failing
    assert (over.status, over.disabled_reason) == ("disabled", webhooks.UNREACHABLE_REASON)
    assert webhooks.reached(still, GOOD, 2_000).failing_since_ms is None


def test_deleting_an_endpoint_erases_its_secrets() -> None:
    gone = webhooks.with_status(webhooks.rotated(endpoint(), webhooks.new_secret(), 1), "deleted", "", 2)

    assert (gone.secret, gone.previous_secret, gone.previous_until_ms) == ("", None, None)


@pytest.mark.parametrize(
    ("url", "networks", "code"),
    [
        ("https://receiver.example/hook?token=a%20b", (), None),
        ("https://receiver.example", (), None),
        ("http://receiver.example/", (), "invalid_url"),
        ("https://receiver.example/" + "a" * 2_000, (), "invalid_url"),
        ("https://receiver/", (), "private_address"),
        ("https://printer.local/", (), "private_address"),
        ("https://10.1.0.1/", ("10.1.0.0/16",), None),
        ("http://10.1.0.1/", ("10.1.0.0/16",), None),
        ("http://10.2.0.1/", ("10.1.0.0/16",), "private_address"),
        ("http://93.184.216.34/", ("10.1.0.0/16",), "invalid_url"),
        ("http://receiver.internal/", ("10.1.0.0/16",), None),
        ("http://169.254.169.254/", ("169.254.0.0/16",), "invalid_url"),
    ],
)
def test_a_webhook_is_https_and_public_but_where_a_network_is_allowed(
    url: str, networks: tuple[str, ...], code: str | None
) -> None:
    allowed = [ip_network(text) for text in networks]

    if code is None:
        check_webhook_url(url, allowed)
    else:
        with pytest.raises(DomainError) as raised:
            check_webhook_url(url, allowed)
        assert (raised.value.code, raised.value.data["param"]) == (code, "url")


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"id": "no uuid"}', b"[]"])
def test_what_is_no_event_is_said_to_be_none(payload: bytes) -> None:
    with pytest.raises(ValueError):
        deposit_webhook("deposit_credited", payload)


def test_events_that_move_money_or_orders_make_no_webhook() -> None:
    assert [deposit_webhook(name, b"") for name in ("deposit_confirmed", "order_changed", "scanner_halted")] == [
        None
    ] * 3


@pytest.mark.parametrize("language", ["python", pytest.param("js", marks=pytest.mark.node)])
@pytest.mark.parametrize(
    ("change", "right"),
    [({}, True), ({"body": "{}"}, False), ({"timestamp_s": 1_614_265_330}, False), ({"secret": "other"}, False)],
)
def test_the_documentations_examples_tell_a_true_message_from_a_false_one(
    language: str, change: dict[str, Any], right: bool
) -> None:
    secret, event = webhooks.new_secret(), trial_webhook("acc_1", 1)
    timestamp_s = change.get("timestamp_s", int(time.time()))
    signatures = [
        webhooks.signature(key, event.id, timestamp_s, event.body.encode()) for key in (webhooks.new_secret(), secret)
    ]
    sent = {
        "secret": webhooks.new_secret() if "secret" in change else secret,
        "headers": {
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(signatures),
        },
        "body": change.get("body", event.body),
    }

    assert _documented(language, sent) is right


def _documented(language: str, sent: dict[str, Any]) -> bool:
    """What the example says of a message."""
    example = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    if language == "python":
        names: dict[str, Any] = {}
        exec(example, names)
        return names["is_ours"](sent["secret"], sent["headers"], sent["body"].encode())
    script = f"{example}\nconst sent = {json.dumps(sent)};\nconsole.log(isOurs(sent.secret, sent.headers, Buffer.from(sent.body)));"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip() == "true"
