"""The result as a table for people (ratios first) and as JSON for machines."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.bench.findings import Finding
from tests.bench.measures import Series

BUSY_MIN = 0.9
LOAD_MAX = 0.5


def processor_model() -> str:
    """The machine's processors, as the system names them."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else "unknown processors"


def table(all_series: Iterable[Series]) -> str:
    """One Markdown table a kind of measure; medians over the rounds, minimum and maximum in brackets."""
    throughput = [series for series in all_series if not series.measure.of_latency]
    latency = [series for series in all_series if series.measure.of_latency]
    blocks: list[str] = []
    if throughput:
        blocks.append("\n".join(_throughput(throughput)))
    if latency:
        blocks.append("\n".join(_latency(latency)))
    return "\n\n".join(blocks)


def _throughput(all_series: Sequence[Series]) -> list[str]:
    lines = [
        "| measure | edge / passthrough | aim | edge | passthrough | per processor second | busy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for series in all_series:
        busy = "{:.0%} / {:.0%}".format(series.median("edge", "busy"), series.median("passthrough", "busy"))
        cells = (
            series.measure.title,
            f"**{_spread(series.ratios('per_second'), '{:.0%}')}**",
            series.measure.aims[0],
            _spread(series.of("edge", "per_second"), "{:,.0f}"),
            _spread(series.of("passthrough", "per_second"), "{:,.0f}"),
            _spread(series.ratios("per_busy_second"), "{:.0%}"),
            busy,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _latency(all_series: Sequence[Series]) -> list[str]:
    lines = [
        "| time of | edge adds to the passthrough | aim | edge | passthrough | provider alone |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for series in all_series:
        for figure, label, aim in zip(("p50_ms", "p99_ms"), ("p50", "p99"), series.measure.aims, strict=True):
            each = [_spread(series.of(target, figure), "{:.2f} ms") for target in ("edge", "passthrough", "provider")]
            added = _spread(series.added(figure), "{:.2f} ms")
            lines.append(f"| {series.measure.title}, {label} | **{added}** | {aim} | {' | '.join(each)} |")
    return lines


def warnings(all_series: Iterable[Series], *, pinned: bool, load_before: float) -> list[str]:
    """What a reader must know before believing the table; `load_before` is the load average when the run began."""
    found = [] if pinned else ["nothing could be pinned to a processor: the ratios say little"]
    if load_before > LOAD_MAX:
        found.append(f"other programs were running (load average {load_before:.1f} before the start)")
    for series in all_series:
        if series.measure.of_latency:
            continue
        for target in series.measure.targets:
            busy = series.median(target, "busy")
            if busy < BUSY_MIN:
                found.append(
                    f"{series.measure.name}: {target} was busy only {busy:.0%} of the time, so something else was the limit "
                    "(the other processor, or other programs on this one); compare per processor second"
                )
    return found


def as_json(all_series: Iterable[Series], findings: Iterable[Finding], provider_alone: float) -> bytes:
    """Every figure of every round."""
    report = {
        "processors": processor_model(),
        "provider_alone_per_second": provider_alone,
        "measures": {series.measure.name: series.rounds for series in all_series},
        "findings": {finding.name: finding.value for finding in findings},
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def _spread(values: Sequence[float], form: str) -> str:
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"
