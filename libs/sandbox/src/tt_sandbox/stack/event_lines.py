"""An event as one line for people, or as one JSON object. Pure text; knows no connection."""

import json
from collections.abc import Mapping
from typing import Any

from tt_common.money import format_usd

TIME_WIDTH = 12
TYPE_WIDTH = 26
MONEY = "_nanousd"
# Said elsewhere in the line, or for programs.
_LEFT_OUT = frozenset({"id", "account_id", "booked_at_ms", "created_at_ms", "changed_at_ms"})
_DIM, _BOLD, _RED, _END = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m"


def as_json(subject: str, headers: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """One JSON object with the attributes of the CloudEvent and its data."""
    attributes = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
    return json.dumps({"nats_subject": subject, **attributes, "data": data}, ensure_ascii=False)


def as_line(headers: Mapping[str, str], data: Mapping[str, Any], *, colours: bool) -> str:
    """Time, type, account and the main figures."""
    kind = headers.get("ce-type", "?")
    time = headers.get("ce-time", "")[11:].rstrip("Z").ljust(TIME_WIDTH)[:TIME_WIDTH]
    account = data.get("account_id", headers.get("ce-subject", ""))
    figures = _usage(data) if kind.startswith("usage.") else _fields(data)
    if not colours:
        return f"{time}  {kind:<{TYPE_WIDTH}}  {account}  {figures}"
    alarm = _RED if kind.startswith(("billing.wallet_overdrawn", "billing.grant_lost")) or _went_wrong(data) else ""
    return f"{_DIM}{time}{_END}  {_BOLD}{kind:<{TYPE_WIDTH}}{_END}  {account}  {alarm}{figures}{_END}"


def _usage(data: Mapping[str, Any]) -> str:
    used: Mapping[str, Any] = data.get("usage", {})
    counts = " ".join(f"{name.removesuffix('_tokens')} {count}" for name, count in used.items() if count)
    seconds = (data["finished_at_ms"] - data["started_at_ms"]) / 1000
    parts = [data["model"], data["outcome"], str(data["status"]), counts, f"${format_usd(data['cost_nanousd'])}"]
    return "  ".join([part for part in [*parts, f"{seconds:.2f} s", data.get("error_code", "")] if part])


def _fields(data: Mapping[str, Any]) -> str:
    return "  ".join(_field(name, value) for name, value in data.items() if name not in _LEFT_OUT and value != "")


def _field(name: str, value: Any) -> str:
    if name.endswith(MONEY) and isinstance(value, int):
        return f"{name.removesuffix(MONEY)} {'-' if value < 0 else ''}${format_usd(abs(value))}"
    return f"{name} {value}"


def _went_wrong(data: Mapping[str, Any]) -> bool:
    return data.get("outcome", "succeeded") != "succeeded"
