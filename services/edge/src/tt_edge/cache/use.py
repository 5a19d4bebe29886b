"""What the response cache has to do with one call; calls without the cache have none of it."""

from typing import Literal

from tt_edge.protocols.openai.keep import KEPT_BYTES_MAX

CacheStatus = Literal["hit", "miss", "bypass"]
"""As X-TT-Cache-Status says; bypass: no kept answer was looked for."""


class CacheUse:
    """The request's hash, whether its answer will be kept, and of a stream the parts so far, up to what may be kept."""

    __slots__ = ("_parts", "_size_bytes", "keeps", "request_hash", "status")

    def __init__(self, request_hash: str, *, keeps: bool) -> None:
        self.request_hash = request_hash
        self.keeps = keeps
        self.status: CacheStatus = "bypass"
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def collect(self, data: bytes) -> None:
        """A part of the provider's stream."""
        if self.keeps:
            self._parts.append(data)
            self._size_bytes += len(data)
            if self._size_bytes > KEPT_BYTES_MAX:
                self.keeps = False
                self._parts.clear()

    @property
    def collected(self) -> bytes:
        """The provider's stream as far as it came."""
        return b"".join(self._parts)
