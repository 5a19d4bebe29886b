"""Hints by core NATS that something of an account's deposits changed, for those who look on; at most so many at once.

Invariants: a feed keeps ids, never messages, and never more than HINTS_MAX; every feed that was opened is counted until it is closed.
"""

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tt_common.clock import monotonic_s
from tt_common.contracts.streams import deposits_subject
from tt_common.errors import DomainError
from tt_console.clients.deposits import DepositsClient
from tt_console.domain.deposits import DepositStatus, status_of
from tt_console.usecases.metrics import ConsoleMetrics

log = logging.getLogger(__name__)

FEEDS_PER_ACCOUNT_MAX: Final = 5
FEEDS_MAX: Final = 1_000
HINTS_MAX: Final = 200
STATUS_AGE_S: Final = 3.0
RETRY_AFTER_S: Final = 10


class _Hint(msgspec.Struct):
    """What any event of a deposit or an order may name."""

    deposit_id: str | None = None
    order_id: str | None = None


class Noted(msgspec.Struct, frozen=True):
    """What changed; `missed`: more than was kept, or the connection was gone for a while."""

    deposit_ids: tuple[str, ...]
    order_ids: tuple[str, ...]
    missed: bool


class Feed:
    """What changed of one account since it was asked last."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._deposit_ids: dict[str, None] = {}
        self._order_ids: dict[str, None] = {}
        self._missed = False
        self.closing = False

    async def wait(self, timeout_s: float) -> None:
        """Until something changed or `timeout_s` passed."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return
        if not self.closing:
            self._changed.clear()

    def take(self) -> Noted:
        """What was noted; it is forgotten."""
        noted = Noted(tuple(self._deposit_ids), tuple(self._order_ids), self._missed)
        self._deposit_ids, self._order_ids, self._missed = {}, {}, False
        return noted

    def note(self, noted: Noted) -> None:
        """Something changed, or could not be told yet."""
        self._deposit_ids |= dict.fromkeys(noted.deposit_ids)
        self._order_ids |= dict.fromkeys(noted.order_ids)
        self._missed = self._missed or noted.missed
        if len(self._deposit_ids) + len(self._order_ids) > HINTS_MAX:
            self._deposit_ids, self._order_ids, self._missed = {}, {}, True

    def wake(self) -> None:
        """Whoever waits looks at once."""
        self._changed.set()

    def end(self) -> None:
        """Whoever reads it should stop."""
        self.closing = True
        self.wake()


class DepositFeeds:
    """The feeds of a process."""

    def __init__(self, nc: Client, deposits: DepositsClient, metrics: ConsoleMetrics) -> None:
        self._nc = nc
        self._deposits = deposits
        self._metrics = metrics
        self._open: dict[Feed, Subscription] = {}
        self._per_account: Counter[str] = Counter()
        self._closed = False
        self._status: tuple[float, DepositStatus] | None = None
        self._status_lock = asyncio.Lock()

    async def open(self, account_id: str) -> Feed:
        """A feed that hears everything from now on; `close` it. Raises too_many_streams."""
        total = self._per_account.total()
        if self._closed or total >= FEEDS_MAX or self._per_account[account_id] >= FEEDS_PER_ACCOUNT_MAX:
            text = f"at most {FEEDS_PER_ACCOUNT_MAX} open event streams an account"
            raise DomainError("too_many_streams", text, retry_after_s=RETRY_AFTER_S)
        self._count(account_id, 1)
        feed = Feed()

        async def heard(message: Msg) -> None:
            try:
                hint = _decoder.decode(message.data)
            except msgspec.MsgspecError:
                log.warning("no deposit event", extra={"subject": message.subject})
                return
            feed.note(Noted(_known(hint.deposit_id), _known(hint.order_id), missed=False))
            feed.wake()

        try:
            self._open[feed] = await self._nc.subscribe(deposits_subject("*", account_id), cb=heard)
            await self._nc.flush()
        except BaseException as error:
            await self.close(feed, account_id)
            if isinstance(error, nats.errors.Error | TimeoutError | OSError):
                raise DomainError("unavailable", "events can't be heard now; try again") from error
            raise
        return feed

    async def close(self, feed: Feed, account_id: str) -> None:
        """Once for every feed that was opened."""
        self._count(account_id, -1)
        subscription = self._open.pop(feed, None)
        if subscription is None:
            return
        try:
            await subscription.unsubscribe()
        except (nats.errors.Error, OSError) as error:
            log.info("feed ends without its broker", extra={"error": repr(error)})

    def end_all(self) -> None:
        """The process stops: nobody waits for us."""
        self._closed = True
        for feed in self._open:
            feed.end()

    def reconnected(self) -> None:
        """The connection was gone for a while: what was said meanwhile is not known."""
        for feed in self._open:
            feed.note(Noted((), (), missed=True))
            feed.wake()

    async def status(self) -> DepositStatus:
        """Whether deposits arrive as usual, at most a few seconds old and asked once for all feeds. Raises Unavailable."""
        async with self._status_lock:
            if self._status is None or monotonic_s() - self._status[0] > STATUS_AGE_S:
                self._status = (monotonic_s(), status_of(await self._deposits.scanner()))
            return self._status[1]

    def _count(self, account_id: str, step: int) -> None:
        self._per_account[account_id] += step
        if not self._per_account[account_id]:
            del self._per_account[account_id]
        self._metrics.event_streams.set(self._per_account.total())


def _known(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


_decoder: Final = msgspec.json.Decoder(_Hint)
