"""A unit test leaves no thread behind: what such a thread does, it does to the tests that come after.

One that draws from `random`, such as an exporter that waits before it tries again, changes the state that Hypothesis watches while it
draws: some other test would fail, once in a while.
"""

import threading
from collections.abc import Generator
from typing import Final

import pytest

ENDS_WITHIN_S: Final = 1.0
_before = pytest.StashKey[set[threading.Thread]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_before] = set(threading.enumerate())
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    for thread in set(threading.enumerate()) - item.stash[_before]:
        thread.join(ENDS_WITHIN_S)
        assert not thread.is_alive(), f"the thread '{thread.name}' outlives the test"
    return result
