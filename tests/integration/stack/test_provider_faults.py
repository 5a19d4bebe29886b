"""The sandbox provider misbehaves as told, and its record says what really happened."""

import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
KEY = {"Authorization": "Bearer sk-anything"}


def chat(control: httpx.Client, *, stream: bool = False, **switches: Any) -> httpx.Response:
    return control.post("/v1/chat/completions", json={**CHAT, "stream": stream, "sandbox": switches}, headers=KEY)


def records(control: httpx.Client, since: int = 0) -> list[dict[str, Any]]:
    return control.get("/sandbox/calls", params={"since": since}).json()["calls"]


def ended_record(control: httpx.Client) -> dict[str, Any]:
    """The one call of this test, once it has ended."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = records(control)
        if found and found[0]["ended_at"] is not None:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no call ended: {found}")


def test_failure_carries_status_message_and_retry_after(control: httpx.Client) -> None:
    answer = chat(control, fail_status=429, fail_message="slow down", retry_after=1.5)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1.5")
    assert answer.json()["error"]["message"] == "slow down"


def test_first_calls_of_a_fail_key_fail_and_later_ones_succeed(control: httpx.Client) -> None:
    statuses = [chat(control, fail_times=2, fail_status=503, fail_key="a").status_code for _ in range(3)]
    other = chat(control, fail_times=1, fail_key="b").status_code

    assert statuses == [503, 503, 200]
    assert other == 500


def test_fault_of_a_model_wins_over_the_request_until_cleared(control: httpx.Client) -> None:
    control.post("/sandbox/faults", json={"model": "m", "fail_status": 503})
    broken = chat(control, fail_status=429).status_code
    control.post("/sandbox/faults", json={"model": "m", "fail_status": None})

    assert broken == 503
    assert chat(control).status_code == 200
    assert control.get("/sandbox/faults").json() == {}


def test_unknown_switch_is_refused(control: httpx.Client) -> None:
    answer = chat(control, fail_statsu=503)

    assert answer.status_code == 400
    assert "fail_statsu" in answer.text


def test_connection_dies_after_the_given_chunks(control: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        chat(control, stream=True, output_tokens=9, die_after_chunks=3)

    record = ended_record(control)
    assert (record["chunks_sent"], record["completion_tokens"], record["completed"]) == (3, 3, False)
    assert record["client_disconnected"] is False


def test_truncated_stream_ends_cleanly_without_finish_or_done(control: httpx.Client) -> None:
    answer = chat(control, stream=True, output_tokens=4, truncate=True)

    assert '"finish_reason":"stop"' not in answer.text
    assert "[DONE]" not in answer.text
    assert ended_record(control)["completed"] is False


def test_error_event_in_mid_stream_reaches_the_sdk(sdk: OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        extra_body={"sandbox": {"output_tokens": 9, "error_after_chunks": 2}},
    )

    with pytest.raises(openai.APIError, match="had an error"):
        list(stream)


def test_malformed_answer_is_a_200_that_is_not_json(control: httpx.Client) -> None:
    answer = chat(control, malformed=True)

    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_usage_can_be_left_out(control: httpx.Client) -> None:
    assert "usage" not in chat(control, omit_usage=True).json()


def test_delay_comes_before_the_first_byte(control: httpx.Client) -> None:
    started = time.monotonic()
    chat(control, delay_ms=150)

    assert time.monotonic() - started >= 0.15


def test_chunk_delay_slows_the_stream(control: httpx.Client) -> None:
    started = time.monotonic()
    chat(control, stream=True, output_tokens=4, chunk_delay_ms=40)

    assert time.monotonic() - started >= 0.16


def test_completed_call_is_recorded_with_label_and_request_id(control: httpx.Client) -> None:
    headers = KEY | {"X-Client-Request-Id": "req-7"}
    body = {**CHAT, "sandbox": {"label": "seven", "output_tokens": 6, "prompt_tokens": 10}}
    answer = control.post("/v1/chat/completions", json=body, headers=headers).json()

    record = ended_record(control)
    assert record["id"] == answer["id"]
    assert (record["label"], record["request_id"], record["model"]) == ("seven", "req-7", "m")
    assert (record["status"], record["prompt_tokens"], record["completion_tokens"]) == (200, 10, 6)
    assert record["completed"] is True
    assert record["ended_at"] >= record["started_at"]


def test_client_that_leaves_mid_stream_stops_it(control: httpx.Client) -> None:
    body = {**CHAT, "stream": True, "sandbox": {"output_tokens": 10_000, "chunk_delay_ms": 20}}
    with control.stream("POST", "/v1/chat/completions", json=body, headers=KEY) as answer:
        next(answer.iter_lines())

    record = ended_record(control)
    assert record["client_disconnected"] is True
    assert record["completed"] is False
    assert record["chunks_sent"] < 100
    assert record["completion_tokens"] == record["chunks_sent"]


def test_client_that_leaves_an_undelayed_stream_stops_it_too(control: httpx.Client) -> None:
    body = {**CHAT, "stream": True, "sandbox": {"output_tokens": 1_000_000}}
    with control.stream("POST", "/v1/chat/completions", json=body, headers=KEY) as answer:
        next(answer.iter_lines())

    record = ended_record(control)
    assert record["client_disconnected"] is True
    assert record["chunks_sent"] < 1_000_000


def test_hanging_call_shows_in_the_record_while_it_runs(control: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        control.post("/v1/chat/completions", json={**CHAT, "sandbox": {"hang": True}}, headers=KEY, timeout=0.3)

    record = ended_record(control)
    assert (record["status"], record["client_disconnected"], record["completed"]) == (0, True, False)


def test_records_can_be_read_from_a_sequence_number_and_cleared(control: httpx.Client) -> None:
    for label in ("a", "b", "c"):
        chat(control, label=label)
    first = records(control)[0]["seq"]

    assert [record["label"] for record in records(control, since=first)] == ["b", "c"]
    control.delete("/sandbox/calls")
    assert records(control) == []


def test_refused_calls_are_recorded_too(control: httpx.Client) -> None:
    control.post("/v1/chat/completions", json=CHAT)
    chat(control, fail_status=500)

    assert [record["status"] for record in records(control)] == [401, 500]
