"""Behaviour switches: strict about names and values, bounded, faults over requests."""

from typing import Any

import pytest

from tt_sandbox.provider.switches import FAULTS_MAX, SwitchBoard, SwitchError


@pytest.mark.parametrize(
    "own",
    [{"unknown": 1}, {"output_tokens": -1}, {"output_tokens": "many"}, {"fail_status": 200}, "text"],
)
def test_wrong_switch_is_refused(own: Any) -> None:
    with pytest.raises(SwitchError):
        SwitchBoard().read({"sandbox": own}, "m")


def test_fault_is_merged_over_the_requests_own_switches() -> None:
    board = SwitchBoard()
    board.set_fault("m", {"delay_ms": 5})

    switches = board.read({"sandbox": {"delay_ms": 1, "label": "x"}}, "m")

    assert (switches.delay_ms, switches.label) == (5, "x")


def test_wrong_fault_changes_nothing() -> None:
    board = SwitchBoard()

    with pytest.raises(SwitchError):
        board.set_fault("m", {"nonsense": 1})

    assert board.faults == {}


def test_faults_are_bounded() -> None:
    board = SwitchBoard()
    for index in range(FAULTS_MAX):
        board.set_fault(f"m{index}", {"hang": True})

    with pytest.raises(SwitchError):
        board.set_fault("one more", {"hang": True})
