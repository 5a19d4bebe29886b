"""`make bench`: the real edge beside a bare passthrough of the same provider, in the same run; then billing alone,
then deposits.

The full product stands behind the edge: keys, holds, journal, events, settlement. Exit status 1 where the money does not add up
or an answer is not whole: then there are no figures. `--only settle`, `trickle` and `grants` measure billing without the rest,
`derive`, `credit` and `scan` deposits, `--only usage` the console's usage pages over ten million calls (never unless it is
named: filling takes minutes).
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench.bed import Bed, MoneyLost
from tests.bench.billing import NAMES as BILLING_NAMES
from tests.bench.billing import WrongBooks, billing_table, measure_billing
from tests.bench.crowd import measure_crowd
from tests.bench.deposits import NAMES as DEPOSITS_NAMES
from tests.bench.deposits import measure_deposits
from tests.bench.findings import Finding, findings_table
from tests.bench.measures import MEASURES, BadAnswer, Bench, Series
from tests.bench.memory import CALLS, measure_memory
from tests.bench.processors import Processors
from tests.bench.prompts import measure_prompts
from tests.bench.report import as_json, processor_model, table, warnings
from tests.bench.requests import EVENTS, OUTPUT_TOKENS
from tests.bench.translated import measure_translated
from tests.bench.usage import NAME as USAGE_NAME
from tests.bench.usage import measure_usage
from tt_sandbox.stack import StartError

ALONE_S = 1.0
# Measures of the edge that are not a series of rounds, in the order they run: those that want a fresh edge last.
OTHERS: dict[str, Callable[[Bench, argparse.Namespace], Awaitable[list[Finding]]]] = {
    "prompts": lambda bench, options: measure_prompts(bench, options.rounds),
    "translated": lambda bench, options: measure_translated(bench, options.rounds, options.seconds),
    "crowd": lambda bench, _: measure_crowd(bench),
    "memory": lambda bench, options: measure_memory(bench, options.calls),
}
ALL_NAMES = (*(measure.name for measure in MEASURES), *OTHERS, *BILLING_NAMES, *DEPOSITS_NAMES, USAGE_NAME)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5, help="rounds of each measure (5)")
    arguments.add_argument("--seconds", type=float, default=1.5, help="length of a round for each target (1.5)")
    arguments.add_argument("--only", action="append", choices=ALL_NAMES, help="this measure alone; may be repeated")
    arguments.add_argument("--calls", type=int, default=CALLS, help=f"calls of `--only memory` ({CALLS:,})")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    arguments.add_argument("--usage-rows", type=int, default=10_000_000, help="calls in the read model (10 million)")
    arguments.add_argument(
        "--usage-folder", type=Path, metavar="DIR", help="keep the filled read model here, or use it"
    )
    return arguments


async def measure(bed: Bed, options: argparse.Namespace) -> tuple[list[Series], list[Finding], float]:
    """The figures, and what the load generator and the provider can do alone. Raises BadAnswer, MoneyLost."""
    chosen = options.only or ALL_NAMES
    async with bed.connected():
        bench = Bench(bed)
        alone = await bench.provider_alone(ALONE_S)
        found: list[Series] = []
        for entry in MEASURES:
            if entry.name in chosen:
                print(f"{entry.title}: {options.rounds} rounds ...", file=sys.stderr, flush=True)
                found.append(await bench.measure(entry, options.rounds, options.seconds))
        findings: list[Finding] = []
        for name, other in OTHERS.items():
            if name in chosen:
                print(f"{name} ...", file=sys.stderr, flush=True)
                findings += await other(bench, options)
        await bed.check_money(bench.expected_nanousd)
        print(f"{bench.edge_calls} calls through the edge cost {bench.expected_nanousd} nanoUSD", file=sys.stderr)
    return found, findings, alone


def main() -> int:
    options = parser().parse_args()
    logging.basicConfig(level=logging.ERROR)
    # An exception, so that what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen: list[str] = options.only or [name for name in ALL_NAMES if name != USAGE_NAME]
    billing = [name for name in BILLING_NAMES if name in chosen]
    if billing and bench_billing(billing):
        return 1
    if USAGE_NAME in chosen and bench_usage(options):
        return 1
    processors = Processors()
    deposits = [name for name in DEPOSITS_NAMES if name in chosen]
    if deposits and bench_deposits(deposits, processors):
        return 1
    rest = {*chosen} - {*BILLING_NAMES, *DEPOSITS_NAMES, USAGE_NAME}
    return bench_edge(options, processors) if rest else 0


def bench_billing(names: list[str]) -> int:
    """Exit status; not pinned, for billing and its database work at the same time."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tokentally-bench-") as folder:
        try:
            found = uvloop.run(measure_billing(Path(folder), names))
        except (StartError, WrongBooks, TimeoutError) as error:
            print(f"no figures: {error or 'answers did not end in time'}", file=sys.stderr)
            return 1
    print(f"{processor_model()}; load average before the start: {load_before:.1f}; the books reconcile\n")
    print(billing_table(found), end="\n\n")
    return 0


def bench_usage(options: argparse.Namespace) -> int:
    """Exit status; not pinned."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tokentally-bench-") as folder:
        try:
            report = measure_usage(options.usage_folder or Path(folder), options.usage_rows)
        except (StartError, WrongBooks) as error:
            print(f"no figures: {error}", file=sys.stderr)
            return 1
    print(f"{processor_model()}; load average before the start: {load_before:.1f}; {options.usage_rows:,} calls\n")
    print(report, end="\n\n")
    return 0


def bench_deposits(names: list[str], processors: Processors) -> int:
    """Exit status; the scanner is pinned, the others are not."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tokentally-bench-") as folder:
        try:
            report = measure_deposits(Path(folder), names, processors)
        except (StartError, WrongBooks) as error:
            print(f"no figures: {error}", file=sys.stderr)
            return 1
    print(f"{processor_model()}; load average before the start: {load_before:.1f}; records and chain agree\n")
    print(report, end="\n\n")
    return 0


def bench_edge(options: argparse.Namespace, processors: Processors) -> int:
    """Exit status."""
    load_before = os.getloadavg()[0]
    processors.keep_off()
    with tempfile.TemporaryDirectory(prefix="tokentally-bench-") as folder:
        try:
            print("starting the product ...", file=sys.stderr, flush=True)
            bed = Bed(Path(folder), processors)
            bed.start()
            try:
                found, findings, alone = uvloop.run(measure(bed, options))
                bed.reconcile()
            finally:
                bed.stop()
        except (StartError, MoneyLost, BadAnswer, TimeoutError) as error:
            print(f"no figures: {error or 'answers did not end in time'}", file=sys.stderr)
            return 1
    print(f"{processor_model()}; answers of {OUTPUT_TOKENS} tokens, streams of {EVENTS} events; every call was settled")
    print(f"load generator and provider alone, sharing a processor: {alone:,.0f} calls/s\n")
    print("\n\n".join(filter(None, [table(found), findings_table(findings) if findings else ""])))
    for line in warnings(found, pinned=processors.pinned, load_before=load_before):
        print(f"\nNote: {line}.")
    if options.json is not None:
        options.json.write_bytes(as_json(found, findings, alone))
    return 0


if __name__ == "__main__":
    sys.exit(main())
