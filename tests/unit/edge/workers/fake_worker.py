"""Stands for a worker when its supervisor is under test: `fake_worker.py FOLDER MODE PORT --place ...`. Notes its life in FOLDER.

Modes: serves; fails (before it serves); dies (once, after it has served); stubborn (takes no notice of SIGTERM).
"""

import asyncio
import signal
import sys
from pathlib import Path

from tt_edge.workers.place import Place, bound

folder, mode, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
place = Place.from_arguments(sys.argv[4:])
assert place is not None


def note(what: str) -> int:
    path = folder / f"{what}-{place.index if place else ''}"
    with path.open("a") as file:
        file.write(".")
    return path.stat().st_size


async def serve(place: Place) -> None:
    done = asyncio.Event()
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    with bound("127.0.0.1", port) as listener:
        listener.listen()
        place.tell_ready()
        lives = note("served")
        if mode == "dies" and place.index == 0 and lives == 1:
            await asyncio.sleep(0.2)  # so that the supervisor sees the group complete
            sys.exit(9)
        await done.wait()
    note("drained")


note("started")
if mode == "fails" and place.index == 0:
    sys.exit(7)
asyncio.run(serve(place))
