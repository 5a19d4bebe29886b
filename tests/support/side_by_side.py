"""How test processes that run side by side share the work: what uses a session's servers stays in one process, the rest goes by file.

The longest comes first, so that all processes end at about the same time. A process that runs everything alone is not concerned.
"""

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = (
    ("tests/conformance", "tests/e2e"),
    ("tests/fault",),
    ("tests/integration/billing",),
    ("tests/integration/stack/test_stack.py",),
    ("tests/integration/teams",),
    ("tests/integration/console",),
)


class ByServers(LoadScopeScheduling):
    """xdist's scheduling by scopes; here a scope is an entry of TOGETHER or a file."""

    def _split_scope(self, nodeid: str) -> str:
        rank = _rank(nodeid)
        return TOGETHER[rank][0] if rank < len(TOGETHER) else nodeid.split("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """The scopes begin in the order of their first tests."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    """The place in TOGETHER; whatever is not there comes last."""
    return next((rank for rank, paths in enumerate(TOGETHER) if nodeid.startswith(paths)), len(TOGETHER))
