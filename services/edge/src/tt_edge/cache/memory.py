"""Kept answers in this worker's memory: the least recently used goes first, by number and by bytes.

Invariant: never more than `entries_max` answers, nor more than `bytes_max` of them.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from tt_common.rating import Usage

ENTRY_OVERHEAD_BYTES: Final = 1024
"""What an answer costs beside its body: keys, structs, the ordered dict."""

AnswerKey = tuple[str, str]
"""(account id, hash of the canonical request): an answer is never found from another account."""


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it is replayed. `usage` is the provider's, of the call that made it; `stream` says that `body` is server-sent events."""

    stream: bool
    body: bytes
    usage: Usage
    kept_at_ms: int


class AnswerMemory:
    """A bounded LRU."""

    def __init__(self, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._answers: OrderedDict[AnswerKey, KeptAnswer] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: AnswerKey) -> KeptAnswer | None:
        """The answer, which is now the last to go."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: AnswerKey, answer: KeptAnswer) -> None:
        """Keep it in place of what was there; one that is larger than the whole memory is not kept."""
        self.drop(key)
        size = _size(answer)
        if size > self._bytes_max or self._entries_max < 1:
            return
        self._answers[key] = answer
        self.size_bytes += size
        while len(self._answers) > self._entries_max or self.size_bytes > self._bytes_max:
            _, oldest = self._answers.popitem(last=False)
            self.size_bytes -= _size(oldest)

    def drop(self, key: AnswerKey) -> None:
        """Forget it, if it is here."""
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.size_bytes -= _size(answer)


def _size(answer: KeptAnswer) -> int:
    return len(answer.body) + ENTRY_OVERHEAD_BYTES
