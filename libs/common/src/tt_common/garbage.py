"""The garbage collector of a service under load: what lives as long as the process is not looked at again and again.

Modules, settings and pools are most of the heap; walking them with every collection costs a third of a call's time on the edge.
"""

import gc
from typing import Final

YOUNG_OBJECTS_MAX: Final = 50_000
"""Collected when so many containers have come without going; reference counting frees nearly all of them before."""


def freeze_long_lived() -> None:
    """Call once, when the service is about to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 10, 10)
