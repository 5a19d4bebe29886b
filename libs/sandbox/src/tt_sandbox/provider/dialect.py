"""What every vendor's dialect gives to the application: its headers, its errors, who may come in, and its endpoints."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from tt_sandbox.provider.records import Call
from tt_sandbox.provider.switches import Switches
from tt_sandbox.provider.wire import Exchange, Headers


class RequestRefused(ValueError):
    """The vendor would refuse this request with `status`; the message says why, in the vendor's words where known."""

    def __init__(self, message: str, status: int = 400, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class Asked(NamedTuple):
    """A request that passed the door: its decoded body, and the headers and query of its URL."""

    model: str
    body: dict[str, Any]
    switches: Switches
    headers: Mapping[bytes, bytes]
    query: Mapping[str, list[str]]


class Dialect(NamedTuple):
    """One vendor. `admit` raises RequestRefused; `error` builds its body; `headers` is asked once the call's status is known."""

    name: str
    headers: Callable[[Call], Headers]
    error: Callable[[RequestRefused, Call], bytes]
    admit: Callable[[Mapping[bytes, bytes], Mapping[str, list[str]]], None]
    no_model: str


class Endpoint(NamedTuple):
    """One POST path of a dialect. The model comes from the path when the vendor puts it there."""

    dialect: Dialect
    answer: Callable[[Exchange, Asked], Awaitable[None]]
    model: str | None = None
