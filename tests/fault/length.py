"""How long the fault suite may take: `make fault` sets TT_FAULT_LONG, `make test` does not."""

import os
from typing import Final

import pytest

LONG: Final = bool(os.environ.get("TT_FAULT_LONG"))
only_long = pytest.mark.skipif(not LONG, reason="takes its time: make fault runs it")
