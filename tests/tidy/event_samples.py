"""The list of events in docs/events.md: a sample of each. `python -m tests.tidy.event_samples --write`.

What stands below the heading is made anew; the text above it is kept. Samples live here, one for every type.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_common.contracts import deposit_events as deposits
from tt_common.contracts import events
from tt_common.contracts.event_types import EVENT_TYPES, EventType
from tt_common.rating import Usage

FILE = ROOT / "docs" / "events.md"
HEADING = "## The events\n"
ACCOUNT: Final = "acc_01985f0c6b7d7a3ab1c2d3e4f5061728"
KEY: Final = "key_01985f0c6b7e7b21a0b1c2d3e4f50617"
EDGE: Final = "edge-0"
EPOCH: Final = "7d1f6c52a9b84e03"
GRANT: Final = "grant_01985f0cd2c07f0aa1b2c3d4e5f60718"
HOLD: Final = "hold_01985f0cd3a17c44b5c6d7e8f9a0b1c2"
TASK_HOLD: Final = "task_01985f10aa517e0f8192a3b4c5d6e7f8"
CALL: Final = "01985f0c-d3a1-7c44-b5c6-d7e8f9a0b1c2"
EVENT: Final = "6f0d8a54-3b9e-8c17-9a2f-5e4d3c2b1a09"
DEPOSIT: Final = "dep_5c1f8d2ab04e8f6791c3d5e7f9012b4d"
ORDER: Final = "ord_01985f11bc627f1a93a4b5c6d7e8f901"
NOON_MS: Final = 1_767_268_800_000
TRANSFER: Final = deposits.ChainTransfer(
    network="mainnet",
    txid="b69c51db8f4c0a1e6d3b27f5908e4c1d2a3b4c5d6e7f8091a2b3c4d5e6f70819",
    log_index=0,
    from_address="TSeJkUh4Qv67VNFwY8LaAxERygNdy6NQZK",
    to_address="TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH",
    amount_micro_usdt=25_000_000,
    block_height=78_861_100,
    block_time_ms=NOON_MS - 60_000,
)

SAMPLES: tuple[msgspec.Struct, ...] = (
    events.UsageEvent(
        id=CALL,
        account_id=ACCOUNT,
        key_id=KEY,
        edge_id=EDGE,
        boot_epoch=EPOCH,
        edge_seq=42,
        grant_id=GRANT,
        hold_id=HOLD,
        hold_nanousd=630_000,
        outcome="succeeded",
        status=200,
        endpoint="/v1/chat/completions",
        protocol="openai",
        model="gpt-4o-mini",
        provider="openai",
        upstream_model="gpt-4o-mini",
        stream=True,
        usage=Usage(input_tokens=120, cache_read_tokens=1_024, output_tokens=85),
        usage_source="provider",
        price_version="gpt-4o-mini@1",
        cost_nanousd=145_800,
        started_at_ms=NOON_MS,
        finished_at_ms=NOON_MS + 1_840,
        first_byte_ms=312,
        overhead_ms=0.6,
        attempts=(events.Attempt(provider="azure", error="timeout", duration_ms=5_000),),
        provider_request_id="req_4c1e",
    ),
    events.WalletAdjusted(
        id=EVENT,
        account_id=ACCOUNT,
        kind="adjustment",
        amount_nanousd=10_000_000_000,
        available_nanousd=12_500_000_000,
        reason="bank transfer 2026-17",
        actor="operator@example.com",
        booked_at_ms=NOON_MS,
    ),
    events.WalletLow(
        id=EVENT, account_id=ACCOUNT, balance_nanousd=990_000_000, threshold_nanousd=1_000_000_000, booked_at_ms=NOON_MS
    ),
    events.WalletOverdrawn(
        id=EVENT, account_id=ACCOUNT, available_nanousd=-1_200_000, event_id=CALL, booked_at_ms=NOON_MS
    ),
    events.HoldPlaced(
        id=EVENT, account_id=ACCOUNT, hold_id=TASK_HOLD, amount_nanousd=500_000_000, booked_at_ms=NOON_MS
    ),
    events.HoldEnded(
        id=EVENT,
        account_id=ACCOUNT,
        hold_id=TASK_HOLD,
        state="captured",
        captured_nanousd=480_000_000,
        booked_at_ms=NOON_MS,
    ),
    events.GrantLost(
        id=EVENT,
        account_id=ACCOUNT,
        grant_id=GRANT,
        edge_id=EDGE,
        boot_epoch=EPOCH,
        held_nanousd=2_000_000,
        booked_at_ms=NOON_MS,
    ),
    events.PricePublished(
        id=EVENT, model="gpt-4o-mini", version="gpt-4o-mini@2", starts_at_ms=NOON_MS, booked_at_ms=NOON_MS
    ),
    events.AccountCreated(id=EVENT, account_id=ACCOUNT, created_at_ms=NOON_MS),
    events.KeyChanged(id=EVENT, account_id=ACCOUNT, key_id=KEY, change="rotated", revision=3, changed_at_ms=NOON_MS),
    deposits.DepositDetected(
        id=EVENT, deposit_id=DEPOSIT, account_id=ACCOUNT, transfer=TRANSFER, detected_at_ms=NOON_MS - 57_000
    ),
    deposits.DepositConfirmed(
        id=EVENT,
        deposit_id=DEPOSIT,
        account_id=ACCOUNT,
        entry="credit",
        amount_nanousd=25_000_000_000,
        transfer=TRANSFER,
        confirmed_at_ms=NOON_MS,
    ),
    deposits.DepositBelowMinimum(
        id=EVENT,
        deposit_id=DEPOSIT,
        account_id=ACCOUNT,
        transfer=msgspec.structs.replace(TRANSFER, amount_micro_usdt=400_000),
        accumulated_micro_usdt=700_000,
        minimum_micro_usdt=1_000_000,
        at_ms=NOON_MS,
    ),
    deposits.DepositHeld(
        id=EVENT,
        deposit_id=DEPOSIT,
        account_id=ACCOUNT,
        transfer=msgspec.structs.replace(TRANSFER, amount_micro_usdt=20_000_000_000),
        reason="above_limit",
        at_ms=NOON_MS,
    ),
    deposits.DepositCredited(
        id=EVENT,
        deposit_id=DEPOSIT,
        account_id=ACCOUNT,
        transfer=TRANSFER,
        amount_nanousd=25_000_000_000,
        transaction_id=EVENT,
        order_id=ORDER,
        credited_at_ms=NOON_MS + 120,
    ),
    deposits.DepositOrphaned(id=EVENT, deposit_id=DEPOSIT, account_id=ACCOUNT, transfer=TRANSFER, at_ms=NOON_MS),
    deposits.OrderChanged(
        id=EVENT,
        order_id=ORDER,
        account_id=ACCOUNT,
        status="paid",
        amount_micro_usdt=25_000_000,
        received_micro_usdt=25_000_000,
        at_ms=NOON_MS,
    ),
    deposits.ScannerHalted(id=EVENT, network="mainnet", reason="nodes_disagree", height=78_861_101, at_ms=NOON_MS),
    deposits.AddressAssigned(
        id=EVENT,
        account_id=ACCOUNT,
        index=7,
        address="TUEZSdKsoDHQMeZwihtdoBiN46zxhGWYdH",
        network="mainnet",
        xpub_fingerprint="5d0fbb2a0e5f4f6b8c7a9d1e2f304152",
        checked_height=78_860_800,
        assigned_at_ms=NOON_MS,
    ),
    deposits.DepositBooked(
        id=EVENT,
        account_id=ACCOUNT,
        deposit_id=DEPOSIT,
        entry="credit",
        amount_nanousd=25_000_000_000,
        transaction_id=EVENT,
        available_nanousd=37_500_000_000,
        booked_at_ms=NOON_MS + 120,
    ),
)


def generate() -> dict[Path, str]:
    """The page with its list of events."""
    above, _, _ = FILE.read_text().partition(HEADING)
    return {FILE: above + HEADING + "\n" + "\n".join(_section(kind) for kind in EVENT_TYPES)}


def sample(kind: EventType) -> dict[str, Any]:
    """The data of one event of this type."""
    found = next(event for event in SAMPLES if type(event) is kind.data)
    return msgspec.json.decode(msgspec.json.encode(found))


def _section(kind: EventType) -> str:
    text = " ".join((kind.data.__doc__ or "").split()).removeprefix(f"`{kind.name}`").lstrip(":. ")
    said = f"{text[:1].upper()}{text[1:]}\n\n" if text else ""
    subject = kind.subject.replace("{index}", "<index>").replace(
        "{account_id}", "house" if "account_id" not in kind.data.__struct_fields__ else "<account_id>"
    )
    return (
        f"### {kind.name}\n\n{said}Stream `{kind.stream.name}`, subject `{subject}`, source `{kind.source}`, "
        f"[schema](schemas/{kind.name}.json).\n\n```json\n{json.dumps(sample(kind), indent=2)}\n```\n"
    )


if __name__ == "__main__":
    run(generate, __doc__)
