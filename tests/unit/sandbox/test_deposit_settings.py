"""What the deposits service of `make up` is told: the sandbox's chain and key together, or a real chain and nothing of the sandbox's."""

import json

import pytest

from tt_sandbox.stack.deposit_settings import SANDBOX_XPUB, given_deposits, sandbox_deposits

CHAIN = "http://127.0.0.1:8091"
NODES = '[{"name":"own","url":"http://10.0.0.5:8090"}]'


def _settings(**environment: str) -> dict[str, str]:
    return sandbox_deposits(CHAIN) | given_deposits(environment)


def test_without_a_word_the_sandbox_chain_is_watched_with_its_published_key() -> None:
    settings = _settings(PATH="/bin", OPENAI_API_KEY="secret")

    assert (settings["DEPOSITS_NETWORK"], settings["DEPOSITS_XPUB"]) == ("sandbox", SANDBOX_XPUB)
    assert [node["url"] for node in json.loads(settings["DEPOSITS_NODES"])] == [f"{CHAIN}/nodes/a", f"{CHAIN}/nodes/b"]
    assert all(name.startswith("DEPOSITS_") for name in settings)


@pytest.mark.parametrize(
    "environment",
    [
        {"DEPOSITS_NODES": NODES},
        {"DEPOSITS_NODES": NODES, "DEPOSITS_NETWORK": "sandbox"},
        {"DEPOSITS_NETWORK": "mainnet"},
        {"DEPOSITS_NETWORK": "nile", "DEPOSITS_MINIMUM_MICRO_USDT": "5000000"},
    ],
    ids=["nodes", "nodes of another sandbox", "network", "test network"],
)
def test_a_real_chain_never_gets_the_published_key_or_the_sandbox_nodes(environment: dict[str, str]) -> None:
    settings = _settings(**environment)

    assert settings["DEPOSITS_XPUB"] == ""
    assert CHAIN not in settings["DEPOSITS_NODES"]
    assert settings["DEPOSITS_NETWORK"] == environment.get("DEPOSITS_NETWORK", "mainnet")
    assert environment.items() <= settings.items()


def test_an_xpub_and_rules_alone_go_with_the_sandbox_chain() -> None:
    settings = _settings(DEPOSITS_XPUB="xpub-mine", DEPOSITS_MINIMUM_MICRO_USDT="5000000")

    assert (settings["DEPOSITS_NETWORK"], settings["DEPOSITS_XPUB"]) == ("sandbox", "xpub-mine")
    assert settings["DEPOSITS_MINIMUM_MICRO_USDT"] == "5000000"
    assert CHAIN in settings["DEPOSITS_NODES"]
