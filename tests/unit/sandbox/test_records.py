"""The call log: complete, ordered, bounded."""

from tt_sandbox.provider.records import CallLog


def test_running_calls_are_listed_without_an_end() -> None:
    log = CallLog()
    first, second = log.open("/a", None), log.open("/b", "req")

    log.close(second)

    assert [(call.seq, call.ended_at is None) for call in log.since(0)] == [(first.seq, True), (second.seq, False)]


def test_oldest_finished_calls_go_when_the_log_is_full() -> None:
    log = CallLog(calls_max=2)
    for _ in range(3):
        log.close(log.open("/a", None))

    assert [call.seq for call in log.since(0)] == [2, 3]


def test_since_gives_only_later_calls_up_to_a_limit() -> None:
    log = CallLog()
    for _ in range(5):
        log.close(log.open("/a", None))

    assert [call.seq for call in log.since(2, limit=2)] == [3, 4]


def test_call_that_ends_after_a_clear_leaves_no_record() -> None:
    log = CallLog()
    call = log.open("/a", None)
    log.clear()

    log.close(call)

    assert log.since(0) == []
