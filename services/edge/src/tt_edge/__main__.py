"""`python -m tt_edge`: one process, or with EDGE_WORKERS above 1 a supervisor of that many."""

import sys

from tt_common.log import configure_logging
from tt_edge.settings import Settings
from tt_edge.workers.place import Place
from tt_edge.workers.supervisor import Supervisor

# On top of the time for open answers: what handing back grants and settling takes at most.
AFTER_GRACE_S_MAX = 60.0


def run() -> int:
    """Exit status."""
    place = Place.from_arguments(sys.argv[1:])
    settings = Settings()  # pyright: ignore[reportCallIssue]  (values come from the environment)
    configure_logging(settings.log_level)
    if place is None and settings.workers > 1:
        command = (sys.executable, "-m", "tt_edge")
        group = Supervisor(command, settings.workers, settings.leave_s + settings.grace_s + AFTER_GRACE_S_MAX)
        return group.run(settings.host, settings.port)
    from tt_edge.main import main  # all of the edge, which a supervisor doesn't need in memory

    return main(settings, place)


sys.exit(run())
