"""Prometheus texts of several workers as one: every sample gets a `worker` label, every family stays in one piece.

Nothing is added up: a counter that starts again with its worker, an age or a cap would be wrong in a sum. Queries do that.
"""

import re
from collections.abc import Mapping
from typing import Final

UP: Final = b"tokentally_edge_worker_up"
_FAMILY: Final = re.compile(rb"^# HELP ", re.MULTILINE)
_LABELLED: Final = re.compile(rb"^([a-zA-Z_:][\w:]*)\{", re.MULTILINE)
_BARE: Final = re.compile(rb"^([a-zA-Z_:][\w:]*) ", re.MULTILINE)


def merged(texts: Mapping[int, bytes], workers: int) -> bytes:
    """`texts` by worker, each as prometheus_client writes it and with a sample of UP; a worker without one gets UP 0."""
    families: dict[bytes, list[bytes]] = {}
    for worker, text in texts.items():
        for family in _FAMILY.split(text)[1:]:
            head, samples = _parted(family)
            families.setdefault(head, []).append(_labelled(samples, worker))
    for head, samples in families.items():
        if head.startswith(UP + b" "):
            samples += [b'%b{worker="%d"} 0.0\n' % (UP, worker) for worker in range(workers) if worker not in texts]
    return b"".join(b"# HELP " + head + b"".join(samples) for head, samples in families.items())


def _parted(family: bytes) -> tuple[bytes, bytes]:
    """HELP and TYPE, and the samples below them."""
    lines = family.splitlines(keepends=True)
    return b"".join(lines[:2]), b"".join(lines[2:])


def _labelled(samples: bytes, worker: int) -> bytes:
    label = b'worker="%d"' % worker
    return _BARE.sub(rb"\1{%b} " % label, _LABELLED.sub(rb"\1{%b," % label, samples))
