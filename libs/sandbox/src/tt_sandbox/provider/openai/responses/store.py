"""Responses that were answered with `store`, for GET, DELETE and `previous_response_id`. Lives and dies with the process.

Never grows past `KEPT_MAX` responses or `KEPT_BYTES_MAX` of their bodies: the oldest go first.
"""

from typing import NamedTuple

from tt_sandbox.provider.dialect import RequestRefused

KEPT_MAX = 1_000
KEPT_BYTES_MAX = 64 * 1024 * 1024


class Kept(NamedTuple):
    """A response: its body as it was answered, and what a next one needs to know of the conversation."""

    body: bytes
    context_tokens: int
    open_calls: frozenset[str]


class ResponseStore:
    """All kept responses by id."""

    def __init__(self, kept_max: int = KEPT_MAX, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept: dict[str, Kept] = {}
        self._items: dict[str, str] = {}
        self._size_bytes = 0
        self._kept_max = kept_max
        self._bytes_max = bytes_max

    def keep(self, response_id: str, kept: Kept, item_ids: list[str]) -> None:
        """Adds a response and the ids of its items."""
        self._kept[response_id] = kept
        self._items |= dict.fromkeys(item_ids, response_id)
        self._size_bytes += len(kept.body)
        while len(self._kept) > self._kept_max or self._size_bytes > self._bytes_max:
            self._forget(next(iter(self._kept)))

    def previous(self, response_id: str) -> Kept:
        """What a next response builds on. Raises RequestRefused."""
        if (kept := self._kept.get(response_id)) is None:
            message = f"Previous response with id '{response_id}' not found."
            raise RequestRefused(message, code="previous_response_not_found", param="previous_response_id")
        return kept

    def has_item(self, item_id: str) -> bool:
        """Whether an item of a kept response has this id."""
        return item_id in self._items

    def body(self, response_id: str) -> bytes:
        """The response as it was answered. Raises RequestRefused with 404."""
        if (kept := self._kept.get(response_id)) is None:
            raise RequestRefused(f"Response with id '{response_id}' not found.", 404)
        return kept.body

    def delete(self, response_id: str) -> None:
        """Forgets a response. Raises RequestRefused with 404."""
        self.body(response_id)
        self._forget(response_id)

    def _forget(self, response_id: str) -> None:
        self._size_bytes -= len(self._kept.pop(response_id).body)
        self._items = {item: owner for item, owner in self._items.items() if owner != response_id}
