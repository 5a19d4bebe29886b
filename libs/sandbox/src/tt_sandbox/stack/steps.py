"""One-shot commands of a start: migrations, streams, the catalog. Those that need nothing of each other run side by side."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tt_sandbox.stack.process import ChildProcess, StartError
from tt_sandbox.stack.settings import PROJECT_DIR

STEP_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True)
class Step:
    """`python -m <module> <arguments>` with `env` on top of this process's environment; `name` is its log's too."""

    name: str
    module: str
    arguments: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path


def run_steps(steps: Sequence[Step], say: Callable[[str], None]) -> None:
    """Runs them together to their ends. Raises StartError with the log of one that failed, the others ended as well."""
    processes = [_process(step) for step in steps]
    deadline = time.monotonic() + STEP_TIMEOUT_S
    try:
        for process in processes:
            process.start()
        for step, process in zip(steps, processes, strict=True):
            exit_code = process.wait(max(0.0, deadline - time.monotonic()))
            if exit_code != 0:
                reason = f"took over {STEP_TIMEOUT_S:.0f} s" if exit_code is None else f"failed with {exit_code}"
                raise StartError(f"{step.name} {reason}", step.log_path)
            say(f"{step.name:<16} done")
    finally:
        for process in processes:
            process.kill()


def _process(step: Step) -> ChildProcess:
    argv = [sys.executable, "-m", step.module, *step.arguments]
    return ChildProcess(step.name, argv, env=dict(os.environ) | dict(step.env), log_path=step.log_path, cwd=PROJECT_DIR)
