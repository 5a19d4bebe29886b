"""The JSON Schema of every event, for those who subscribe without our code. `python -m tests.tidy.schemas --write`.

Made from `tt_common.contracts.events`; a file is named after the event's type on the wire.
"""

import inspect
import json
from pathlib import Path

import msgspec

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_common.contracts import events

FOLDER = ROOT / "docs" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Wire names are literal, never derived from a class.
EVENTS: dict[str, type[msgspec.Struct]] = {
    "usage.v1": events.UsageEvent,
    "billing.wallet_adjusted.v1": events.WalletAdjusted,
    "billing.wallet_low.v1": events.WalletLow,
    "billing.wallet_overdrawn.v1": events.WalletOverdrawn,
    "billing.hold_placed.v1": events.HoldPlaced,
    "billing.hold_ended.v1": events.HoldEnded,
    "billing.grant_lost.v1": events.GrantLost,
    "billing.price_published.v1": events.PricePublished,
    "identity.account_created.v1": events.AccountCreated,
    "identity.key_changed.v1": events.KeyChanged,
}


def generate() -> dict[Path, str]:
    """The schemas by file."""
    return {FOLDER / f"{name}.json": _schema(name, kind) for name, kind in EVENTS.items()}


def declared() -> set[type[msgspec.Struct]]:
    """Every event that the contract module declares: the structs with an id."""
    structs = inspect.getmembers(events, lambda item: inspect.isclass(item) and issubclass(item, msgspec.Struct))
    return {kind for _, kind in structs if "id" in kind.__struct_fields__ and kind.__module__ == events.__name__}


def _schema(name: str, kind: type[msgspec.Struct]) -> str:
    return json.dumps({"$schema": DIALECT, "title": name, **msgspec.json.schema(kind)}, indent=2) + "\n"


if __name__ == "__main__":
    run(generate, __doc__)
