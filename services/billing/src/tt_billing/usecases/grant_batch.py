"""Group commit of grant changes: whatever waits is decided in one transaction.

Invariant: a batch is decided in memory under its wallets' locks, saved in a few statements, committed, and only then
answered. A rule that says no to one command concerns that command alone; a database that says no makes every command
of the batch `unavailable`, to be sent again.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from tt_billing.domain.book import Book
from tt_billing.domain.grants import Refusal, change_grant, shrink_grant
from tt_billing.domain.records import OtherGrant
from tt_billing.usecases.context import Context
from tt_common.contracts.grants import ChangeGrant, GrantReply, ShrinkGrant
from tt_common.errors import DomainError, Unavailable

log = logging.getLogger(__name__)

BATCH_MAX = 500
QUEUE_MAX = 10_000
WATERMARKS_MAX = 10_000


class Refused(msgspec.Struct, frozen=True):
    """A refusal with the account's other grants as they were in the same transaction."""

    refusal: Refusal
    others: tuple[OtherGrant, ...]


Command = ChangeGrant | tuple[ShrinkGrant, ...]
Result = GrantReply | Refused | DomainError | None
Waiting = tuple[Command, "asyncio.Future[Result]"]


class GrantBatch:
    """The queue and its one loop. `watermarks` keeps the last known watermark of each epoch for the replies."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(QUEUE_MAX)
        self._known_epochs: set[str] = set()
        self.watermarks: dict[str, int] = {}

    def saw_watermark(self, boot_epoch: str, watermark: int) -> None:
        if len(self.watermarks) >= WATERMARKS_MAX:
            self.watermarks.clear()
        self.watermarks[boot_epoch] = watermark

    async def change(self, request: ChangeGrant) -> GrantReply | Refused:
        """Decide one change. Raises DomainError for what a recall can't help, Unavailable when nothing was decided."""
        result = await self._submit(request)
        assert isinstance(result, GrantReply | Refused)
        return result

    async def shrink(self, shrinks: tuple[ShrinkGrant, ...]) -> None:
        """Apply shrinks; those of unknown or ended grants and of old revisions do nothing."""
        if shrinks:
            await self._submit(shrinks)

    async def _submit(self, command: Command) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((command, future))
        except asyncio.QueueFull:
            raise Unavailable("too many grant changes are waiting") from None
        result = await future
        if isinstance(result, DomainError):
            raise result
        return result

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            results = await self._decide(batch)
            self._context.crash("after_grant_commit_before_reply")
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def _decide(self, batch: Sequence[Waiting]) -> Sequence[Result]:
        try:
            return await self._transact([command for command, _ in batch])
        except Unavailable:
            log.warning("grant changes not decided", extra={"commands": len(batch)})
        except Exception:
            log.exception("grant changes not decided", extra={"commands": len(batch)})
        return [Unavailable("the ledger can't be written now")] * len(batch)

    async def _transact(self, commands: Sequence[Command]) -> Sequence[Result]:
        changes = [command for command in commands if isinstance(command, ChangeGrant)]
        shrinks = [shrink for command in commands if isinstance(command, tuple) for shrink in command]
        async with self._context.database.begin() as unit:
            book = await unit.load_book(
                self._context.now_ms(),
                [*(change.key.account_id for change in changes), *(shrink.account_id for shrink in shrinks)],
                grant_ids=[*(change.grant_id for change in changes), *(shrink.grant_id for shrink in shrinks)],
                key_ids=[*(change.key.key_id for change in changes), *(shrink.key_id for shrink in shrinks)],
            )
            decisions = [self._apply(book, command) for command in commands]
            await unit.save_book(book)
            epochs = {
                change.boot_epoch: change.edge_id for change in changes if change.boot_epoch not in self._known_epochs
            }
            for boot_epoch in sorted(epochs):
                await unit.note_epoch(boot_epoch, epochs[boot_epoch], 0, book.booked_at_ms)
            refused = {decision.account_id for decision in decisions if isinstance(decision, Refusal)}
            others = await unit.alive_grants(sorted(refused)) if refused else []
            self._context.crash("mid_grant")
        if len(self._known_epochs) > WATERMARKS_MAX:
            self._known_epochs.clear()
        self._known_epochs.update(epochs)
        if book.events:
            self._context.poke_outbox()
        return [_result(decision, others) for decision in decisions]

    def _apply(self, book: Book, command: Command) -> GrantReply | Refusal | DomainError | None:
        if isinstance(command, tuple):
            for shrink in command:
                shrink_grant(book, shrink, self._context.terms)
            return None
        try:
            decision = change_grant(book, command, self._context.terms)
        except DomainError as error:
            return error
        if isinstance(decision, GrantReply):
            watermark = self.watermarks.get(command.boot_epoch, 0)
            return msgspec.structs.replace(decision, watermark=watermark)
        return decision


def _result(decision: GrantReply | Refusal | DomainError | None, others: Sequence[OtherGrant]) -> Result:
    if not isinstance(decision, Refusal):
        return decision
    mine = tuple(o for o in others if o.account_id == decision.account_id and o.grant_id != decision.grant_id)
    return Refused(decision, mine)
