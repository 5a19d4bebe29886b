"""The bucket `idempotency` by compare-and-set, with the age of a record told by the broker's own clock.

Reads go to the stream's leader, so a writer sees its own writes. Raises Unavailable for every trouble with the
broker; never buffers a write while disconnected, for it would arrive when nobody waits for it any more.
"""

import json
from datetime import datetime
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from tt_common.contracts.streams import IDEMPOTENCY
from tt_common.errors import Unavailable

TIMEOUT_S: Final = 2.0
_WRONG_LAST_SEQUENCE: Final = frozenset((10071, 10164))
_OPERATION: Final = "KV-Operation"


class RevisionConflict(Exception):
    """The record is not at the expected revision."""


class RecordEntry(msgspec.Struct, frozen=True):
    """What stands under a key: `data` of None is a key that was freed. `age_s` is 0 for those."""

    data: bytes | None
    revision: int
    age_s: float


class KvRecords:
    """Compare-and-set access to the bucket over one connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=TIMEOUT_S)

    async def write(self, key: str, data: bytes | None, expected_revision: int) -> int:
        """Put `data` (None frees the key) where the last revision is the expected one (0: nothing there).

        The new revision.

        Raises RevisionConflict or Unavailable; after the latter the write may or may not have happened.
        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected_revision)}
        if data is None:
            headers[_OPERATION] = "DEL"
        require_connection(self._nc)
        try:
            ack = await self._js.publish(IDEMPOTENCY.subject(key), data or b"", headers=headers)
        except nats.js.errors.APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise RevisionConflict from error
            raise Unavailable("the idempotency store refused") from error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable("the idempotency store is out of reach") from error
        return ack.seq

    async def read(self, key: str) -> RecordEntry | None:
        """The last entry of `key`, or None. Raises Unavailable."""
        require_connection(self._nc)
        try:
            message = await self._js.get_msg(IDEMPOTENCY.stream, subject=IDEMPOTENCY.subject(key))
            assert message.seq is not None and message.time is not None
            if message.headers and _OPERATION in message.headers:
                return RecordEntry(None, message.seq, 0.0)
            age_s = (await self._broker_time() - message.time).total_seconds()
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable("the idempotency store is out of reach") from error
        return RecordEntry(message.data or b"", message.seq, age_s)

    async def _broker_time(self) -> datetime:
        """The clock that also stamps the bucket's messages."""
        reply = await self._nc.request(f"$JS.API.STREAM.INFO.{IDEMPOTENCY.stream}", b"", timeout=TIMEOUT_S)
        moment = json.loads(reply.data).get("ts")
        if not moment:
            raise nats.errors.Error("no time in the broker's answer")
        return datetime.fromisoformat(moment)


def require_connection(nc: Client) -> None:
    """Raise Unavailable unless connected now."""
    if not nc.is_connected:
        raise Unavailable("not connected to the bus")
