"""Deposits: how long an address takes to derive, how fast a scanner catches up on full blocks, how soon a deposit is credited.

A run whose records don't agree with the chain has no figures. The credit's part is in deposits_credit.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from bip_utils import Bip44, Bip44Changes, Bip44Coins

from tests.bench.billing_load import WrongBooks
from tests.bench.deposits_bed import TRANSACTIONS, ScanBed, Scanner
from tests.bench.deposits_credit import HEADER as CREDIT_HEADER
from tests.bench.deposits_credit import measure_credit
from tests.bench.processors import Processors, cpu_s
from tests.bench.report import BUSY_MIN
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.derivation import AccountKey
from tt_sandbox.stack.deposit_settings import SANDBOX_XPUB

DERIVE, SCAN, CREDIT = NAMES = ("derive", "scan", "credit")
DERIVED: Final = 10_000
DERIVE_ROUNDS: Final = 5
DERIVE_AIM_US: Final = 100
ADDRESS_COUNTS: Final = (1_000, 100_000, 1_000_000)
BLOCKS: Final = 600
WARM_UP_BLOCKS: Final = 100
SCAN_AIM_PER_S: Final = 20
SCANNED_S_MAX: Final = 600.0
POLL_S: Final = 0.02
US_PER_S: Final = 1_000_000
MS_PER_S: Final = 1_000
MIB: Final = 1024 * 1024
PARTS: Final = ("deposits", "postgres", "chain")
DERIVE_HEADER: Final = "| measure | µs | aim | bip-utils | faster |\n| --- | --- | --- | --- | --- |"
SCAN_HEADER: Final = (
    "| addresses | blocks/s | aim | deposits | PostgreSQL | on one core | memory | busy |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Scan:
    """`blocks` in `elapsed_s`, with the processor seconds of each part meanwhile; memory is the resident size, at most."""

    addresses: int
    blocks: int
    elapsed_s: float
    cpu_s: dict[str, float]
    memory_bytes: int

    @property
    def busy(self) -> dict[str, float]:
        return {part: self.cpu_s[part] / self.elapsed_s for part in PARTS}

    def row(self) -> str:
        own_s, postgres_s = (self.cpu_s[part] / self.blocks for part in ("deposits", "postgres"))
        cells = [f"{self.addresses:,}", f"**{self.blocks / self.elapsed_s:,.0f}**", f"{SCAN_AIM_PER_S}"]
        cells += [f"{seconds * MS_PER_S:.1f} ms" for seconds in (own_s, postgres_s)]
        cells += [f"{1 / (own_s + postgres_s):,.0f}/s", f"{self.memory_bytes / MIB:.0f} MiB"]
        cells.append(" / ".join(f"{part:.0%}" for part in self.busy.values()))
        return f"| {' | '.join(cells)} |"


def measure_deposits(folder: Path, names: Sequence[str], processors: Processors) -> str:
    """The tables of the chosen measures. Raises WrongBooks. Pins this process for `scan`."""
    tables: list[str] = []
    if DERIVE in names:
        tables.append(measure_deriving())
    if CREDIT in names:
        timings = measure_credit(folder / CREDIT)
        tables.append("\n".join([CREDIT_HEADER, *(timing.row() for timing in timings)]))
    if SCAN in names:
        processors.keep_off()
        tables.append(_scan_table(measure_scanning(folder / SCAN, processors)))
    return "\n\n".join(tables)


def measure_deriving() -> str:
    """Addresses as text from the account's xpub, by us and by bip-utils, in turn and all compared; processor time."""
    key = AccountKey(SANDBOX_XPUB)
    other = Bip44.FromExtendedKey(SANDBOX_XPUB, Bip44Coins.TRON).Change(Bip44Changes.CHAIN_EXT)
    ours_us: list[float] = []
    theirs_us: list[float] = []
    size = DERIVED // DERIVE_ROUNDS
    for first in range(0, DERIVED, size):
        indexes = range(first, first + size)
        began = time.process_time()
        ours = [address_text(key.address(index)) for index in indexes]
        between = time.process_time()
        theirs = [other.AddressIndex(index).PublicKey().ToAddress() for index in indexes]
        ended = time.process_time()
        if ours != theirs:
            raise WrongBooks("bip-utils derives other addresses")
        ours_us.append((between - began) * US_PER_S / size)
        theirs_us.append((ended - between) * US_PER_S / size)
    mine, bip_utils = statistics.median(ours_us), statistics.median(theirs_us)
    row = f"| an address derived, of {DERIVED:,} | **{mine:.0f}** | {DERIVE_AIM_US} | {bip_utils:,.0f} | {bip_utils / mine:.1f} x |"
    return f"{DERIVE_HEADER}\n{row}"


def measure_scanning(folder: Path, processors: Processors) -> list[Scan]:
    """The same full blocks with each number of addresses. Raises WrongBooks."""
    bed = ScanBed(folder, processors)
    found: list[Scan] = []
    with bed.running(WARM_UP_BLOCKS + BLOCKS):
        for addresses in ADDRESS_COUNTS:
            with bed.scanner(addresses) as scanner:
                found.append(_catch_up(bed, scanner, addresses))
                scanner.service.wait_ready()
                _compare(bed, scanner)
    return found


def _catch_up(bed: ScanBed, scanner: Scanner, addresses: int) -> Scan:
    """From the start of the process on; measured after the first WARM_UP_BLOCKS."""
    pid = scanner.launch()

    def spent() -> dict[str, float]:
        pids = (pid, bed.postgres.process.pid, bed.chain_service.process.pid)
        return {part: cpu_s([own], family=part == "postgres") for part, own in zip(PARTS, pids, strict=True)}

    process, memory = psutil.Process(pid), 0
    started: tuple[float, int, dict[str, float]] | None = None
    deadline = time.monotonic() + SCANNED_S_MAX
    while (height := scanner.height()) < bed.last:
        if started is None and height >= bed.first + WARM_UP_BLOCKS:
            started = time.perf_counter(), height, spent()
        memory = max(memory, process.memory_info().rss)
        if time.monotonic() > deadline:
            raise WrongBooks(f"the scanner is at {height} of {bed.last} after {SCANNED_S_MAX:.0f} s")
        time.sleep(POLL_S)
    elapsed_at, after = time.perf_counter(), spent()
    if started is None:
        raise WrongBooks("the scanner was through before it could be measured")
    began, first, before = started
    cost = {part: after[part] - before[part] for part in PARTS}
    return Scan(addresses, bed.last - first, elapsed_at - began, cost, max(memory, process.memory_info().rss))


def _compare(bed: ScanBed, scanner: Scanner) -> None:
    """Raises WrongBooks unless the records are the chain's transfers to us, all and nothing else, and no block is left out."""
    told, kept = bed.transfers(), scanner.transfers()
    if told != kept or scanner.count("deposits") != len(told):
        raise WrongBooks(f"the chain has {len(told)} transfers to us, the records {len(kept)} of them or others")
    ids = scanner.block_ids()
    if sorted(ids) != list(range(bed.first - 1, bed.last + 1)):
        raise WrongBooks(f"{len(ids)} blocks are remembered of {bed.last + 2 - bed.first}")
    top = bed.chain.ask("walletsolidity/getblockbynum", num=bed.last)
    if ids[bed.last] != top["blockID"]:
        raise WrongBooks("the last block's id is not the chain's")
    strange = {table: scanner.count(table) for table in ("halt", "unsupported_transfers", "outgoing_transfers")}
    if any(strange.values()):
        raise WrongBooks(f"what is on no block: {strange}")


def _scan_table(found: Sequence[Scan]) -> str:
    lines = [SCAN_HEADER, *(scan.row() for scan in found)]
    limited = [f"{scan.addresses:,}" for scan in found if scan.busy["deposits"] < BUSY_MIN]
    if limited:
        lines.append(
            f"\nNote: with {', '.join(limited)} addresses the scanner was busy less than {BUSY_MIN:.0%} of the time, so something else was"
            " the limit (the chain and PostgreSQL on the other processor, or other programs); read the processor times."
        )
    lines.append(
        f"\nBlocks of {TRANSACTIONS} transactions; busy: deposits / PostgreSQL / chain, in parts of one processor."
    )
    return "\n".join(lines)
