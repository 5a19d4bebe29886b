"""Behaviour on demand: the `sandbox` field of a request, and faults set for a model by `POST /sandbox/faults`.

A fault wins over the request's own field, so a test can break one upstream model whatever its callers send.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

FAULTS_MAX = 1_000
FAIL_KEYS_MAX = 100_000
TOKENS_MAX = 1_000_000
CALLS_MAX = 128
COUNTS = (
    "output_tokens",
    "reasoning_tokens",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "tool_prompt_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
    "audio_seconds",
)


class Switches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call's behaviour, in every dialect. `n` choices each get `output_tokens`; `reasoning_tokens` come on top, as output.

    `prompt_tokens` is the whole prompt: cache reads and writes are parts of it, however a vendor reports them.
    """

    output_tokens: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    tool_prompt_tokens: int = 0
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    images: int | None = None
    audio_seconds: float | None = None
    reasoning_tokens: int = 0
    delay_ms: float = 0
    chunk_delay_ms: float = 0
    fail_status: int | None = None
    fail_message: str | None = None
    retry_after: float | None = None
    fail_times: int | None = None
    fail_key: str = ""
    die_after_chunks: int | None = None
    truncate: bool = False
    omit_usage: bool = False
    error_after_chunks: int | None = None
    malformed: bool = False
    hang: bool = False
    label: str | None = None
    completion_text: str | None = None
    tool_calls: int = 1
    finish: Literal["refusal", "recitation", "prompt_blocked", "pause", "bad_tool_call", "failed"] | None = None
    redact_thinking: bool = False
    server_tool_calls: int = 0
    service_tier: str | None = None


NO_SWITCHES = Switches()


class SwitchError(ValueError):
    """A switch that does not exist or has the wrong type; the message says which."""


class SwitchBoard:
    """Process-wide faults by model, and the count of failures by `fail_key`. Both bounded."""

    def __init__(self) -> None:
        self._faults: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, int] = {}

    @property
    def faults(self) -> Mapping[str, Mapping[str, Any]]:
        """The faults in force, by model."""
        return self._faults

    def set_fault(self, model: str, fields: Mapping[str, Any]) -> None:
        """Adds to the model's fault; a null takes that field away, an empty fault disappears. Raises SwitchError."""
        merged = {**self._faults.get(model, {}), **fields}
        merged = {name: value for name, value in merged.items() if value is not None}
        _parse(merged)
        if not merged:
            self._faults.pop(model, None)
        elif model not in self._faults and len(self._faults) >= FAULTS_MAX:
            raise SwitchError(f"more than {FAULTS_MAX} faults")
        else:
            self._faults[model] = merged

    def clear(self) -> None:
        """Removes all faults and forgets which keys have failed."""
        self._faults.clear()
        self._failures.clear()

    def read(self, body: Mapping[str, Any], model: str) -> Switches:
        """The switches of one call. Raises SwitchError."""
        own = body.get("sandbox")
        fault = self._faults.get(model)
        if own is None and fault is None:
            return NO_SWITCHES
        if own is not None and not isinstance(own, dict):
            raise SwitchError("`sandbox` must be an object")
        return _parse({**(own or {}), **(fault or {})})

    def failure_due(self, switches: Switches) -> int | None:
        """The status this call must fail with, or None. Counts the failure when `fail_times` is set."""
        if switches.fail_times is None:
            return switches.fail_status
        failures = self._failures.get(switches.fail_key, 0)
        if failures >= switches.fail_times:
            return None
        if len(self._failures) >= FAIL_KEYS_MAX:
            self._failures.pop(next(iter(self._failures)))
        self._failures[switches.fail_key] = failures + 1
        return switches.fail_status or 500


def _parse(fields: Mapping[str, Any]) -> Switches:
    try:
        # Not strict: in a form all values are strings.
        switches = msgspec.convert(fields, Switches, strict=False)
    except msgspec.ValidationError as error:
        raise SwitchError(f"`sandbox`: {error}") from error
    for name in COUNTS:
        if not 0 <= (getattr(switches, name) or 0) <= TOKENS_MAX:
            raise SwitchError(f"`sandbox.{name}` must be between 0 and {TOKENS_MAX}")
    if not 1 <= switches.tool_calls <= CALLS_MAX or not 0 <= switches.server_tool_calls <= CALLS_MAX:
        raise SwitchError(f"`sandbox.tool_calls` and `sandbox.server_tool_calls` go up to {CALLS_MAX}")
    if switches.fail_status is not None and not 400 <= switches.fail_status <= 599:
        raise SwitchError("`sandbox.fail_status` must be between 400 and 599")
    return switches
