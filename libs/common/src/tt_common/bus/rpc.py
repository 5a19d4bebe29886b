"""Request/reply over NATS micro: discovery and statistics from micro, work on our own bounded tasks.

micro runs an endpoint's messages one after another and answers exceptions with their repr, so a handler here only enqueues; errors
become codes before micro sees them. A reply is `{"ok": …}` or `{"error": {code, message, data}}`.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import nats.errors
import nats.micro
from nats.aio.client import Client
from nats.micro.request import Request
from nats.micro.service import Service

from tt_common.clock import monotonic_s
from tt_common.errors import DomainError, Unavailable
from tt_common.telemetry.context import TRACEPARENT, parse_traceparent
from tt_common.telemetry.tracing import UNTRACED, Tracing

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 4096
STOP_TIMEOUT_S = 5.0

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)
Handler = Callable[[Any], Awaitable[msgspec.Struct]]
Observe = Callable[[str, str, float], None]
"""Told of every answer: the method, the error code (empty for none), the seconds it took."""


class RpcError(msgspec.Struct, frozen=True):
    """The error half of a reply."""

    code: str
    message: str
    data: dict[str, Any] = {}


class _Reply(msgspec.Struct):
    ok: msgspec.Raw = msgspec.Raw()  # a union with None would decode nothing but null
    error: RpcError | None = None


_reply_decoder = msgspec.json.Decoder(_Reply)


async def call(
    nc: Client,
    subject: str,
    request: msgspec.Struct,
    reply_type: type[ReplyT],
    timeout_s: float,
    traceparent: str = "",
) -> ReplyT:
    """Send `request`, decode the reply. Raises the other side's DomainError, or Unavailable where none answered in time."""
    headers = {TRACEPARENT: traceparent} if traceparent else None
    try:
        message = await nc.request(subject, msgspec.json.encode(request), timeout=timeout_s, headers=headers)
    except (nats.errors.TimeoutError, nats.errors.NoRespondersError, TimeoutError) as error:
        raise Unavailable(f"no answer from {subject}") from error
    except (nats.errors.Error, OSError) as error:
        raise Unavailable(f"not connected for {subject}") from error
    try:
        reply = _reply_decoder.decode(message.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DomainError("internal", f"unreadable answer from {subject}") from error
    if reply.error is not None:
        if reply.error.code == "unavailable":
            raise Unavailable(reply.error.message, **reply.error.data)
        raise DomainError(reply.error.code, reply.error.message, **reply.error.data)
    try:
        return msgspec.json.decode(reply.ok, type=reply_type)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DomainError("internal", f"unreadable answer from {subject}") from error


class RpcServer:
    """Serves methods by subject. Unknown exceptions are logged and answered as `internal`, without their text."""

    def __init__(
        self, nc: Client, name: str, version: str, tracing: Tracing = UNTRACED, observe: Observe | None = None
    ) -> None:
        self._nc = nc
        self._tracing = tracing
        self._observe = observe
        self._name = name
        self._version = version
        self._methods: dict[str, tuple[msgspec.json.Decoder[Any], Handler]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._service: Service | None = None

    def method(
        self, subject: str, request_type: type[RequestT], handler: Callable[[RequestT], Awaitable[msgspec.Struct]]
    ) -> None:
        """Register before `start`. The handler may raise DomainError; anything else becomes `internal`."""
        self._methods[subject] = (msgspec.json.Decoder(request_type), handler)

    async def start(self) -> None:
        """Returns when the broker knows every method."""
        self._service = await nats.micro.add_service(self._nc, name=self._name, version=self._version)
        for subject in self._methods:
            await self._service.add_endpoint(
                name=subject.replace(".", "-"), subject=subject, handler=self._enqueue, queue_group=self._name
            )
        # nats-py's PING overtakes what waits to be sent, so only the second round trip comes after the subscriptions.
        await self._nc.flush()
        await self._nc.flush()

    async def stop(self) -> None:
        """Stop taking requests, let those in flight finish."""
        if self._service is not None:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._service.stop()
            # RuntimeError is what uvloop says when nats-py writes to the lost connection.
            except (nats.errors.Error, OSError, RuntimeError, TimeoutError) as error:
                log.info("rpc ends without its broker", extra={"error": repr(error)})
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)

    async def _enqueue(self, request: Request) -> None:
        if len(self._tasks) >= IN_FLIGHT_MAX:
            await request.respond(_error("unavailable", "too many requests in flight"))
            return
        task = asyncio.create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: Request) -> None:
        decoder, handler = self._methods[request.subject]
        caller = parse_traceparent(request.headers.get(TRACEPARENT)) if request.headers else None
        span = self._tracing.child(request.subject, "server", caller, {"rpc.system": "nats"})
        code, began_s = "", monotonic_s()
        try:
            result = await handler(decoder.decode(request.data))
            payload = msgspec.json.encode({"ok": result})
        except DomainError as error:
            code, payload = error.code, _error(error.code, error.message, error.data)
        except msgspec.ValidationError as error:
            code, payload = "invalid_request", _error("invalid_request", str(error))
        except (msgspec.DecodeError, UnicodeDecodeError):
            code, payload = "invalid_request", _error("invalid_request", "not JSON")
        except Exception:
            log.exception("rpc handler failed", extra={"subject": request.subject})
            code, payload = "internal", _error("internal", "internal error")
        finally:
            if span is not None:
                span.end(code)
            if self._observe is not None:
                self._observe(request.subject, code, monotonic_s() - began_s)
        try:
            await request.respond(payload)
        except (nats.errors.Error, OSError):
            log.warning("rpc reply could not be sent", extra={"subject": request.subject})


def _error(code: str, message: str, data: dict[str, Any] | None = None) -> bytes:
    return msgspec.json.encode({"error": RpcError(code, message, data or {})})
