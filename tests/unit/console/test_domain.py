"""The pure rules of the console: keys, prices, the catalog file, throttling, usage rows."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.contracts.events import UsageEvent
from tt_common.errors import DomainError
from tt_common.rating import Usage
from tt_console.domain import keys, prices
from tt_console.domain.catalog import ProviderTerms, check_provider_terms
from tt_console.domain.catalog_file import parse_catalog
from tt_console.domain.throttle import Limit, retry_after_s
from tt_console.domain.usage import DAY_MS, HOUR_MS, UsageRow, rollups, usage_row

CATALOG = Path(__file__).parents[3] / "config" / "catalog.json"

EVENT = UsageEvent(
    id="01980000-0000-7000-8000-000000000001",
    account_id="acc_1",
    key_id="key_1",
    edge_id="edge-0",
    boot_epoch="e",
    edge_seq=1,
    grant_id="g",
    hold_id="h",
    hold_nanousd=10,
    outcome="succeeded",
    status=200,
    endpoint="/v1/chat/completions",
    protocol="openai",
    model="gpt-4o",
    provider="sandbox",
    upstream_model="gpt-4o",
    stream=False,
    usage=Usage(input_tokens=3, cache_write_5m_tokens=1, cache_write_1h_tokens=2, output_tokens=5),
    usage_source="provider",
    price_version="gpt-4o@1",
    cost_nanousd=7,
    started_at_ms=DAY_MS + 1,
    finished_at_ms=DAY_MS + 2,
)

calls = st.builds(
    lambda number, key, model, hour, cost, ok: msgspec.structs.replace(
        usage_row(EVENT),
        event_id=str(number),
        key_id=key,
        model=model,
        started_at_ms=hour * HOUR_MS + number,
        cost_nanousd=cost,
        outcome="succeeded" if ok else "failed",
    ),
    st.integers(0, 10_000),
    st.sampled_from(["k1", "k2"]),
    st.sampled_from(["m1", "m2"]),
    st.integers(0, 50),
    st.integers(0, 10**12),
    st.booleans(),
)


@given(st.lists(calls, max_size=30), st.integers(0, 30))
def test_rollups_add_up_whatever_the_batches(rows: list[UsageRow], split: int) -> None:
    def total(parts: list[list[UsageRow]], step_ms: int) -> dict[tuple[str, int, str, str], tuple[int, int, int]]:
        sums: dict[tuple[str, int, str, str], tuple[int, int, int]] = {}
        for part in parts:
            for row in rollups(part, step_ms):
                key = (row.account_id, row.start_ms, row.key_id, row.model)
                requests, errors, cost = sums.get(key, (0, 0, 0))
                sums[key] = (requests + row.requests, errors + row.errors, cost + row.cost_nanousd)
        return sums

    for step_ms in (HOUR_MS, DAY_MS):
        whole = total([rows], step_ms)
        assert total([rows[split:], rows[:split]], step_ms) == whole
        assert sum(cost for _, _, cost in whole.values()) == sum(row.cost_nanousd for row in rows)
        assert all(start % step_ms == 0 for _, start, _, _ in whole)


@given(st.integers(-(10**40), 10**40))
def test_a_row_fits_the_database_whatever_the_provider_said(count: int) -> None:
    usage = Usage(input_tokens=count, output_tokens=count, cache_write_5m_tokens=count, cache_write_1h_tokens=count)
    row = usage_row(msgspec.structs.replace(EVENT, usage=usage, cost_nanousd=count, started_at_ms=count, model="a\x00"))

    numbers = [value for value in msgspec.structs.astuple(row) if isinstance(value, int)]
    assert all(0 <= number < 2**63 for number in numbers)
    assert row.model == "a"


def test_a_key_keeps_its_id_and_counts_revisions_up() -> None:
    made = keys.made("key_1", "acc_1", keys.new_plaintext("sk-"), "sk-", keys.KeySettings(name="k"), 1)
    rotated = keys.rotated(made, "sk-other", "sk-", 2)
    disabled = keys.with_status(rotated, "disabled", 3)

    assert (made.revision, rotated.revision, disabled.revision) == (1, 2, 3)
    assert {made.id, rotated.id, disabled.id} == {"key_1"}
    assert made.hash != rotated.hash == keys.key_hash("sk-other")
    assert keys.with_status(disabled, "disabled", 4) is disabled


def test_display_gives_little_of_the_key_away() -> None:
    plaintext = keys.new_plaintext("mt_live_")

    shown = keys.display_of(plaintext, "mt_live_")

    assert shown.startswith("mt_live_")
    assert len(shown) == len("mt_live_") + 4 + 1 + 4
    assert plaintext not in shown


@given(st.integers(-(10**15), 10**15))
def test_a_credit_at_one_to_one_reads_like_usd(nanousd: int) -> None:
    credit = prices.make_credit("TMT", "1")
    assert credit is not None

    assert Decimal(prices.in_credit(nanousd, credit)) == Decimal(nanousd).scaleb(-9)


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity", "much"])
def test_a_credit_needs_a_sane_rate(rate: str) -> None:
    with pytest.raises(ValueError, match="credits per USD"):
        prices.make_credit("TMT", rate)


def test_the_projects_catalog_is_valid_and_routes_by_the_environment() -> None:
    text = CATALOG.read_bytes()

    plain = {model.id: model for model in parse_catalog(text, {}).models}
    keys = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "GEMINI_API_KEY": "x"}
    keyed = {model.id: model for model in parse_catalog(text, keys).models}

    used = {route.provider for model in plain.values() for route in model.terms.routes}
    assert all(provider.partition("-")[0] == "sandbox" for provider in used)
    assert keyed["gemini-1.5-pro"].terms.routes[0].provider == "gemini"
    assert keyed["gemini-3.8-flash"].terms.routes[0].provider == "gemini"
    assert keyed["claude-3-5-sonnet"].terms.routes[0].provider == "anthropic"
    assert keyed["gpt-4o"].terms.routes[0].provider == "openai"
    assert keyed["llama-3.1-70b"].terms.routes[0].provider == "sandbox"
    rates = plain["gpt-4o-mini"].rates
    assert (rates.input, rates.cache_read, rates.output) == (150_000_000, 75_000_000, 600_000_000)


def test_a_literal_secret_is_refused_without_repeating_it() -> None:
    with pytest.raises(DomainError) as refused:
        check_provider_terms(ProviderTerms(base_url="https://api.example.com/v1", key_ref="sk-secret"))

    assert refused.value.code == "secret_refused"
    assert "sk-secret" not in str(refused.value)


def test_the_attempt_over_the_limit_waits_for_the_windows_end() -> None:
    limit = Limit(attempts=3, window_s=60)

    assert [retry_after_s(count, 61_500, 60_000, limit) for count in (1, 3, 4)] == [None, None, 2]
    assert retry_after_s(4, 60_000, 60_000, limit) == 1
