"""Every route of the API document with data made from its schemas, right and wrong: whatever comes in, no answer is a 5xx.

API_EXAMPLES says how many examples of each kind a route gets.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.integration.console.conftest import Browser, Deployment
from tests.tidy.openapi import FILE

EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
EMAIL = "api-document@example.com"
SCHEMA = schemathesis.openapi.from_path(FILE)
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}  # pyright: ignore[reportAttributeAccessIssue]
# What takes no input but a header can't be asked wrongly.
TAKES_INPUT = [label for label, found in OPERATIONS.items() if found.body or found.query or found.path_parameters]
# Signing in and out is throttled by address and would end the session that the others need; a stream of events has no end to wait for.
# Both have tests of their own.
ASKED = [label for label in OPERATIONS if "/auth/" not in label and not label.endswith("/events")]


@pytest.fixture(scope="module")
def caller(deployment: Deployment) -> Iterator[Browser]:
    """An operator with a session of his own, so that no door is shut."""
    deployment.command("create-operator", EMAIL, CONSOLE_OPERATOR_PASSWORD="correct horse battery")
    made = Browser(deployment).log_in(EMAIL, "correct horse battery")
    yield made
    made.http.close()


@pytest.mark.parametrize("label", ASKED)
def test_no_right_input_makes_the_console_fail(caller: Browser, deployment: Deployment, label: str) -> None:
    ask_often(caller, deployment, label, GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", [label for label in ASKED if label in TAKES_INPUT])
def test_no_wrong_input_makes_the_console_fail(caller: Browser, deployment: Deployment, label: str) -> None:
    ask_often(caller, deployment, label, GenerationMode.NEGATIVE)


def ask_often(caller: Browser, deployment: Deployment, label: str, mode: GenerationMode) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in caller.http.cookies.items())
    identity = {"Cookie": cookie, "X-CSRF-Token": caller.http.headers["X-CSRF-Token"]}

    @given(data=st.data())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    def ask(data: Any) -> None:
        case = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
        case.headers = {**(case.headers or {}), **identity}
        case.cookies = {}

        answer = case.call(base_url=deployment.url)

        assert answer.status_code < 500, f"{label}: {answer.status_code} {answer.text}"
        assert answer.status_code != 401

    ask()
