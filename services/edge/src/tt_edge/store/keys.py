"""The keys this edge knows, by hash. The higher revision wins; nothing is ever forgotten because a bucket was away."""

import logging

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from tt_common.bus.kv_mirror import KvMirror
from tt_common.clock import monotonic_s
from tt_common.contracts.records import KeyRecord
from tt_common.contracts.streams import KEYS

log = logging.getLogger(__name__)

LOOKUPS_PER_S_MAX = 50
LOOKUP_TIMEOUT_S = 1.0


class KeyDirectory:
    """Bucket `keys` in memory."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._records: dict[str, KeyRecord] = {}
        self._decoder = msgspec.json.Decoder(KeyRecord)
        self._lookup_second = 0
        self._lookups = 0
        self.mirror = KvMirror(nc, KEYS, self._take)

    def _take(self, _key: str, value: bytes) -> None:
        record = self._decoder.decode(value)
        known = self._records.get(record.hash)
        if known is None or record.revision > known.revision:
            self._records[record.hash] = record

    def get(self, key_hash: str) -> KeyRecord | None:
        return self._records.get(key_hash)

    @property
    def current(self) -> bool:
        """Whether a hash that is not here is truly unknown: the bucket was read and the connection stands."""
        return self.mirror.loaded and self._nc.is_connected

    async def look_up(self, key_hash: str) -> KeyRecord | None:
        """Ask the bucket itself for a key that is not known here, at most 50 times a second: it may be younger than the push."""
        second = int(monotonic_s())
        if second != self._lookup_second:
            self._lookup_second, self._lookups = second, 0
        self._lookups += 1
        if self._lookups > LOOKUPS_PER_S_MAX:
            return None
        js = self._nc.jetstream(timeout=LOOKUP_TIMEOUT_S)
        try:
            message = await js.get_last_msg(KEYS.stream, KEYS.subject(key_hash), direct=True)
        except (nats.js.errors.NotFoundError, nats.errors.Error, TimeoutError):
            return None
        if message.data:
            self._take(key_hash, message.data)
        return self._records.get(key_hash)
