"""From a usage event to a row of the read model, and from rows to rollups.

Invariant: the row is a pure function of the event, so live ingestion and a rebuild give the same. Nonsense from a provider (negative
or absurd counts, stray control characters) is bounded here, so that one bad event can't stop a batch. Costs are copied, never made.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from tt_common.contracts.events import UsageEvent
from tt_common.money import AMOUNT_NANOUSD_MAX
from tt_common.rating import QUANTITY_MAX

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
TEXT_LENGTH_MAX: Final = 256
TIME_MS_MAX: Final = 4_102_444_799_999  # before the year 2100
STARTED_MS_MIN: Final = 1_577_836_800_000  # the year 2020; with TIME_MS_MAX it bounds how many months there can be
COST_NANOUSD_MAX: Final = AMOUNT_NANOUSD_MAX // 1_000_000


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Times in Unix milliseconds; token classes are disjoint, reasoning is inside output."""

    event_id: UUID
    account_id: str
    key_id: str
    model: str
    provider: str
    outcome: str
    status: int
    endpoint: str
    protocol: str
    stream: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    images: int
    server_tool_calls: int
    seconds: int
    characters: int
    cost_nanousd: int
    service_tier: str
    price_version: str
    usage_source: str
    error_code: str
    started_at_ms: int
    finished_at_ms: int
    first_byte_ms: int


class RollupRow(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of one account, key and model over the hour or day that begins at `start_ms`."""

    account_id: str
    start_ms: int
    key_id: str
    model: str
    requests: int
    errors: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    images: int
    cost_nanousd: int


def usage_row(event: UsageEvent) -> UsageRow:
    """The event as a row. Raises ValueError where the id is no UUID."""
    usage = event.usage
    return UsageRow(
        event_id=UUID(event.id),
        account_id=_text(event.account_id),
        key_id=_text(event.key_id),
        model=_text(event.model),
        provider=_text(event.provider),
        outcome=event.outcome,
        status=_bounded(event.status, 9999),
        endpoint=_text(event.endpoint),
        protocol=_text(event.protocol),
        stream=event.stream,
        input_tokens=_count(usage.input_tokens) + _count(usage.image_input_tokens),
        cache_read_tokens=_count(usage.cache_read_tokens),
        cache_write_tokens=_count(usage.cache_write_5m_tokens) + _count(usage.cache_write_1h_tokens),
        output_tokens=_count(usage.output_tokens),
        reasoning_tokens=_count(usage.reasoning_tokens),
        audio_input_tokens=_count(usage.audio_input_tokens),
        audio_output_tokens=_count(usage.audio_output_tokens),
        images=_count(usage.images),
        server_tool_calls=_count(usage.server_tool_calls),
        seconds=_count(usage.seconds),
        characters=_count(usage.characters),
        cost_nanousd=_bounded(event.cost_nanousd, COST_NANOUSD_MAX),
        service_tier=_text(event.service_tier),
        price_version=_text(event.price_version),
        usage_source=event.usage_source,
        error_code=_text(event.error_code),
        started_at_ms=max(_bounded(event.started_at_ms, TIME_MS_MAX), STARTED_MS_MIN),
        finished_at_ms=_bounded(event.finished_at_ms, TIME_MS_MAX),
        first_byte_ms=_bounded(event.first_byte_ms, TIME_MS_MAX),
    )


def rollups(rows: Iterable[UsageRow], step_ms: int) -> list[RollupRow]:
    """What the rows add to the rollup with that step, one entry a (account, start, key, model), in a fixed order."""
    sums: dict[tuple[str, int, str, str], list[int]] = {}
    for row in rows:
        start_ms = row.started_at_ms - row.started_at_ms % step_ms
        total = sums.setdefault((row.account_id, start_ms, row.key_id, row.model), [0] * 8)
        for index, number in enumerate(_numbers(row)):
            total[index] += number
    return [
        RollupRow(
            account_id=account_id,
            start_ms=start_ms,
            key_id=key_id,
            model=model,
            requests=total[0],
            errors=total[1],
            input_tokens=total[2],
            cache_read_tokens=total[3],
            cache_write_tokens=total[4],
            output_tokens=total[5],
            images=total[6],
            cost_nanousd=total[7],
        )
        for (account_id, start_ms, key_id, model), total in sorted(sums.items())
    ]


def _numbers(row: UsageRow) -> tuple[int, ...]:
    return (
        1,
        0 if row.outcome == "succeeded" else 1,
        row.input_tokens + row.audio_input_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.output_tokens + row.audio_output_tokens,
        row.images,
        row.cost_nanousd,
    )


def _count(number: int) -> int:
    return _bounded(number, QUANTITY_MAX)


def _bounded(number: int, largest: int) -> int:
    return min(max(number, 0), largest)


def _text(text: str) -> str:
    return text.replace("\x00", "")[:TEXT_LENGTH_MAX]
