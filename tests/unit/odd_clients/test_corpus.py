"""The corpus of odd client requests is well formed: enough cases, each with a source that can be opened and something to check."""

import re
from collections import Counter
from typing import Final

import msgspec
import pytest

from tests.conformance.odd_clients.corpus import FOLDER, Case, load

CASES_MIN: Final = 30
SOURCE: Final = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+")
CASES: Final = load()


def test_there_are_enough_cases_of_every_protocol() -> None:
    by_protocol = Counter(case.protocol for case in CASES.values())

    assert len(CASES) >= CASES_MIN
    assert {"openai", "responses", "anthropic", "gemini"} == by_protocol.keys()


def test_titles_are_unique() -> None:
    assert [title for title, count in Counter(case.title for case in CASES.values()).items() if count > 1] == []


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_a_source_a_reason_and_something_to_check(name: str) -> None:
    case = CASES[name]

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert SOURCE.fullmatch(case.source)
    assert case.title and case.client and case.why.endswith(".")
    assert case.path.startswith("/")
    assert not (bytes(case.body) and case.body_base64)
    assert (case.method == "POST") == bool(bytes(case.body) or case.body_base64)
    assert _checks(case), "a case that checks nothing but the status can hardly fail"


def test_no_case_holds_a_key() -> None:
    assert [path.name for path in FOLDER.iterdir() if re.search(r"\b(sk|mt_live)[-_]\w{8}", path.read_text())] == []


def test_a_misspelt_field_is_an_error() -> None:
    whole = msgspec.json.decode(next(FOLDER.glob("*.json")).read_bytes())

    with pytest.raises(msgspec.ValidationError, match="unexpect"):
        msgspec.json.decode(msgspec.json.encode(whole | {"unexpect": 1}), type=Case)


def _checks(case: Case) -> bool:
    return len(msgspec.to_builtins(case.expect)) > 1 or case.expect.status == 401
