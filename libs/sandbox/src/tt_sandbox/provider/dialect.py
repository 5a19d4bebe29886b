"""What every vendor's dialect gives to the application: its headers, its errors, who may come in, and its endpoints."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
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


class Upload(NamedTuple):
    """A file of a form: how large it was, and its first bytes."""

    filename: str
    media_type: str
    size_bytes: int
    head: bytes


class Asked(NamedTuple):
    """A request that passed the door: its decoded body, the headers and query of its URL, a form's files by name.

    The values of a form's body are strings, or lists and objects of them.
    """

    model: str
    body: dict[str, Any]
    switches: Switches
    headers: Mapping[bytes, bytes]
    query: Mapping[str, list[str]]
    files: Mapping[str, list[Upload]] = MappingProxyType({})


class Dialect(NamedTuple):
    """One vendor. `admit` raises RequestRefused; `error` builds its body; `headers` is asked once the call's status is known."""

    name: str
    headers: Callable[[Call], Headers]
    error: Callable[[RequestRefused, Call], bytes]
    admit: Callable[[Mapping[bytes, bytes], Mapping[str, list[str]]], None]
    no_model: str


class Endpoint(NamedTuple):
    """One POST path of a dialect. The model comes from the path when the vendor puts it there; some take forms, not JSON."""

    dialect: Dialect
    answer: Callable[[Exchange, Asked], Awaitable[None]]
    model: str | None = None
    takes_form: bool = False
