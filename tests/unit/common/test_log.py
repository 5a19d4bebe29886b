"""Logs: secrets masked, one event a line, JSON that stays JSON."""

import json
import logging

import pytest

from tt_common.log import JsonFormatter, LineFormatter, mask


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key sk-abcdefghij1234", "abcdefghij1234"),
        ("mt_live_abcdefghij", "abcdefghij"),
        ("gw_abcdefghijkl", "abcdefghijkl"),
        ("whsec_MfKQ9r8GKYqr/Tw+UPD8ILPZIo2LaLaSw=", "UPD8ILPZIo2LaLaSw"),
        ("Authorization: Bearer s3cret/with+signs==", "s3cret"),
        ("postgresql://billing:p4ss/word@127.0.0.1/db", "p4ss"),
        ("nats://user:hunter2@host:4222", "hunter2"),
    ],
)
def test_secrets_are_masked_and_the_rest_is_kept(text: str, secret: str) -> None:
    masked = mask(f"before {text} after")
    assert secret not in masked
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("text", ["task-1234567890", "http://host:8080/path", "no secrets here", "a@b.c"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("tt", logging.WARNING, "file.py", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_a_line_carries_the_extra_fields() -> None:
    line = LineFormatter().format(record("grant lost", grant="grt_1", url="nats://u:hunter2@h"))
    assert "warning" in line
    assert "grant lost grant=grt_1 url=nats://u:***@h" in line


def test_json_stays_json_when_a_secret_stands_before_a_quote() -> None:
    entry = json.loads(JsonFormatter().format(record("sent Bearer abc", key="sk-abcdefghijkl", left=3)))
    assert entry["message"] == "sent Bearer ***"
    assert entry["key"] == "sk-***"
    assert entry["left"] == "3"
