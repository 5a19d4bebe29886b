"""`make events`: shows the events of the running stack as they happen, or from some time ago on.

Reads with consumers of its own that vanish with it and ack nothing. Goes on over a restart of NATS.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from tt_common.bus.connection import connect
from tt_common.contracts.event_types import EVENT_STREAMS, EVENT_TYPES
from tt_common.contracts.nats_users import EVENTS
from tt_common.contracts.streams import StreamSpec
from tt_sandbox.stack.event_lines import as_json, as_line
from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.nats_server import nats_url
from tt_sandbox.stack.process import read_pid_file
from tt_sandbox.stack.settings import StackSettings

FETCH_MAX = 200
FETCH_WAIT_S = 2.0
INACTIVE_S = 60.0
RETRY_WAIT_S = 0.5
QUEUE_MAX = 5_000
# What several streams send within this time is shown in the order of its times.
GATHER_S = 0.2

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="make events", description=__doc__)
    parser.add_argument("--type", help="only these: usage, billing, wallet_low, or a whole name such as usage.v1")
    parser.add_argument("--account", help="only this account's")
    parser.add_argument("--since", type=_age, help="from so long ago on, such as 30s, 10m, 2h or 7d")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    names = {kind.name for kind in EVENT_TYPES if arguments.type is None or is_of_type(kind.name, arguments.type)}
    if not names:
        parser.error(f"no event is named {arguments.type}; there are: {', '.join(kind.name for kind in EVENT_TYPES)}")
    folder = DataFolder(StackSettings().data_dir.resolve())
    if read_pid_file(folder.pid("nats")) is None:
        print("NATS does not run (make up starts it).", file=sys.stderr)
        return 1
    port = json.loads((folder.run / "ports.json").read_text())["nats"]
    url = nats_url(folder.nats_passwords()[EVENTS.name], port, EVENTS.name)
    show = json_printer(names) if arguments.json else line_printer(names, colours=sys.stdout.isatty())
    try:
        asyncio.run(follow(url, names, arguments.account, arguments.since or timedelta(), show))
    except* (KeyboardInterrupt, BrokenPipeError):
        # The ordinary ways to end it; what the interpreter flushes at its exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def is_of_type(name: str, wanted: str) -> bool:
    """Whether a wire name is meant: by all of it, by its beginning, or by the word in its middle."""
    return name == wanted or wanted in name.split(".")


def json_printer(names: set[str]) -> Callable[[Msg], None]:
    """Prints the events of these types as JSON."""

    def show(message: Msg) -> None:
        headers = message.headers or {}
        if headers.get("ce-type") in names:
            print(as_json(message.subject, headers, json.loads(message.data)), flush=True)

    return show


def line_printer(names: set[str], *, colours: bool) -> Callable[[Msg], None]:
    """Prints the events of these types for people."""

    def show(message: Msg) -> None:
        headers = message.headers or {}
        if headers.get("ce-type") in names:
            print(as_line(headers, json.loads(message.data), colours=colours), flush=True)

    return show


async def follow(url: str, names: set[str], account: str | None, age: timedelta, show: Callable[[Msg], None]) -> None:
    """Hands every event of the streams that carry `names` to `show`, until cancelled."""
    nc = await connect(url, "tt-events")
    queue: asyncio.Queue[Msg] = asyncio.Queue(QUEUE_MAX)
    since = datetime.now(UTC) - age
    wanted = [spec for spec in EVENT_STREAMS if any(k.stream is spec and k.name in names for k in EVENT_TYPES)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for spec in wanted:
                tasks.create_task(_read(nc.jetstream(timeout=5), spec, account, since, queue))
            tasks.create_task(_show_in_order(queue, show))
    finally:
        await nc.close()


async def _read(
    js: JetStreamContext, spec: StreamSpec, account: str | None, since: datetime, queue: asyncio.Queue[Msg]
) -> None:
    subject = spec.subjects[0]
    if account is not None:
        subject = f"{subject.rpartition('.')[0]}.{account}"
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=since,
        inactive_threshold=INACTIVE_S,
        mem_storage=True,
    )
    while True:
        try:
            subscription = await js.pull_subscribe(subject, stream=spec.name, config=config)
            while True:
                try:
                    messages = await subscription.fetch(FETCH_MAX, timeout=FETCH_WAIT_S)
                except nats.errors.TimeoutError:
                    await subscription.consumer_info()  # gone with a restart: made anew below
                    continue
                for message in messages:
                    await queue.put(message)
                after = messages[-1].metadata.sequence.stream + 1
                config = config.evolve(
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after, opt_start_time=None
                )
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError):
            await asyncio.sleep(RETRY_WAIT_S)


async def _show_in_order(queue: asyncio.Queue[Msg], show: Callable[[Msg], None]) -> None:
    while True:
        together = [await queue.get()]
        await asyncio.sleep(GATHER_S)
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                together.append(queue.get_nowait())
        for message in sorted(together, key=_time):
            show(message)


def _time(message: Msg) -> Any:
    return (message.headers or {}).get("ce-time", "")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("a number and s, m, h or d, such as 10m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


if __name__ == "__main__":
    sys.exit(main())
