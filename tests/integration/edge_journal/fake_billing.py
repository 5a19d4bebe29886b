"""Billing as the journal sees it, over real NATS: reads USAGE, counts each event once, answers beats and closings."""

import asyncio
from collections import defaultdict

import msgspec
import nats.errors

from tt_common.bus.lean_client import LeanClient
from tt_common.bus.rpc import RpcServer
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.grants import EPOCHS_BEAT, EPOCHS_CLOSE, Ack, CloseEpoch, EpochBeat, EpochBeatReply


class FakeBilling:
    """`events` by id, `deliveries` with duplicates, `closed` in order. `lose` drops that many deliveries unsettled."""

    def __init__(self, nc: LeanClient) -> None:
        self._nc = nc
        self._rpc = RpcServer(nc, "fake-billing", "1.0.0")
        self.events: dict[str, UsageEvent] = {}
        self.deliveries = 0
        self.closed: list[CloseEpoch] = []
        self.lose = 0
        self._seqs: defaultdict[str, set[int]] = defaultdict(set)
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._rpc.method(EPOCHS_BEAT, EpochBeat, self._beat)
        self._rpc.method(EPOCHS_CLOSE, CloseEpoch, self._close)
        await self._rpc.start()
        self._task = asyncio.create_task(self._read())

    async def stop(self) -> None:
        assert self._task is not None
        self._stopping = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._rpc.stop()

    def watermark(self, boot_epoch: str) -> int:
        seqs, watermark = self._seqs[boot_epoch], 0
        while watermark + 1 in seqs:
            watermark += 1
        return watermark

    async def _beat(self, request: EpochBeat) -> EpochBeatReply:
        return EpochBeatReply(watermark=self.watermark(request.boot_epoch))

    async def _close(self, request: CloseEpoch) -> Ack:
        self.closed.append(request)
        return Ack()

    async def _read(self) -> None:
        """From the stream by sequence: no consumer that a broker restart could confuse."""
        js = self._nc.jetstream(timeout=1)
        sequence = 1
        while not self._stopping:
            try:
                message = await js.get_msg("USAGE", seq=sequence)
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            sequence += 1
            self.deliveries += 1
            if self.lose:
                self.lose -= 1
                continue
            assert message.data is not None
            event = msgspec.json.decode(message.data, type=UsageEvent)
            self.events[event.id] = event
            self._seqs[event.boot_epoch].add(event.edge_seq)
