"""Live changes of the account's deposits as Server-Sent Events.

A snapshot comes first, on every connection: whoever reconnects has missed nothing, whatever Last-Event-ID says. Then `deposit`, `order`
and `status`, each whole as it is now. The stream ends when the session does, and when the process stops.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from tt_common.clock import monotonic_s, now_ms
from tt_common.contracts.deposits import DepositRecord
from tt_common.errors import DomainError
from tt_common.ids import new_event_id
from tt_console.api.context import Context, ContextDep
from tt_console.api.deposit_shapes import DepositOut, OrderOut, StatusOut, deposit_out, order_out, status_out
from tt_console.api.session import SessionDep
from tt_console.clients.deposit_feed import Feed, Noted
from tt_console.domain.accounts import Session
from tt_console.domain.deposits import DepositStatus
from tt_console.store.identity import session_stands
from tt_console.usecases.follow_deposits import Change, Follower

router = APIRouter(prefix="/deposits", tags=["deposits"])

EVENT_STREAM: Final = "text/event-stream"
RETRY_MS: Final = 3_000
"""After which a browser connects again."""


@dataclass(frozen=True)
class Pace:
    """How often a stream looks by itself: while a deposit is on its way, and otherwise; and how long it may be silent."""

    busy_s: float = 3.0
    idle_s: float = 15.0
    heartbeat_s: float = 15.0


PACE: Final = Pace()


class SnapshotOut(BaseModel):
    """What `event: snapshot` brings: the newest deposits and orders, newest first, and the status."""

    deposits: list[DepositOut]
    orders: list[OrderOut]
    status: StatusOut


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
)
async def get_events(session: SessionDep, context: ContextDep) -> StreamingResponse:
    """Server-Sent Events: `snapshot` once, then `deposit`, `order` and `status` as they change. Five streams an account."""
    account_id = session.user.account_id
    feed = await context.feeds.open(account_id)
    try:
        stream = LiveDeposits(context, session, feed)
        first = await stream.first()
    except BaseException:
        await context.feeds.close(feed, account_id)
        raise
    return FeedResponse(context, feed, account_id, stream.lines(first))


class FeedResponse(StreamingResponse):
    """Closes its feed however it ends, even before its first byte."""

    def __init__(self, context: Context, feed: Feed, account_id: str, lines: AsyncIterator[str]) -> None:
        super().__init__(lines, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
        self._context = context
        self._feed = feed
        self._account_id = account_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._context.feeds.close(self._feed, self._account_id)


class LiveDeposits:
    """One stream."""

    def __init__(self, context: Context, session: Session, feed: Feed, pace: Pace = PACE) -> None:
        self._context = context
        self._session = session
        self._feed = feed
        self._pace = pace
        self._follower = Follower(context.deposits, session.user.account_id)
        self._told: DepositStatus | None = None
        self._looked_s = self._sent_s = monotonic_s()

    async def first(self) -> str:
        """The snapshot. Raises Unavailable."""
        self._told = await self._context.feeds.status()
        changes = (await self._follower.look())[::-1]
        snapshot = SnapshotOut(
            deposits=[deposit_out(change) for change in changes if isinstance(change, DepositRecord)],
            orders=[order_out(change) for change in changes if not isinstance(change, DepositRecord)],
            status=status_out(self._told),
        )
        return f"retry: {RETRY_MS}\n{_event('snapshot', snapshot)}"

    async def lines(self, first: str) -> AsyncIterator[str]:
        """Until the session or the process ends, or nobody reads."""
        yield first
        while True:
            await self._feed.wait(min(self._pace.busy_s, self._pace.heartbeat_s))
            database, token_hash = self._context.database, self._session.token_hash
            if self._feed.closing or not await session_stands(database.engine, token_hash, now_ms()):
                return
            for line in await self._news():
                self._sent_s = monotonic_s()
                yield line
            if monotonic_s() - self._sent_s >= self._pace.heartbeat_s:
                self._sent_s = monotonic_s()
                yield ": nothing new\n\n"

    async def _news(self) -> list[str]:
        """What is to be told now; while the deposits service is away, nothing, and later all of it."""
        noted = self._feed.take()
        try:
            changes = await self._changes(noted)
            status = await self._context.feeds.status()
        except DomainError:
            self._feed.note(msgspec.structs.replace(noted, missed=True))
            return []
        lines = [_change(change) for change in changes]
        if self._told is None or not status.says_the_same(self._told):
            self._told = status
            lines.append(_event("status", status_out(status)))
        return lines

    async def _changes(self, noted: Noted) -> list[Change]:
        changes = await self._follower.look_at(noted.deposit_ids, noted.order_ids)
        wait_s = self._pace.busy_s if self._follower.something_is_open else self._pace.idle_s
        if noted.missed or monotonic_s() - self._looked_s >= wait_s:
            changes += await self._follower.look()
            self._looked_s = monotonic_s()
        return changes


def _change(change: Change) -> str:
    if isinstance(change, DepositRecord):
        return _event("deposit", deposit_out(change))
    return _event("order", order_out(change))


def _event(name: str, data: BaseModel) -> str:
    return f"id: {new_event_id()}\nevent: {name}\ndata: {data.model_dump_json()}\n\n"
