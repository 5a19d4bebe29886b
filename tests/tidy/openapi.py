"""The console's API document, made from its routes. `python -m tests.tidy.openapi --write`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_console.api.app import create_app

FILE = ROOT / "docs" / "openapi" / "console.json"


@asynccontextmanager
async def _never_started(_: FastAPI) -> AsyncIterator[None]:
    yield


def generate() -> dict[Path, str]:
    """The document; nothing is connected for it."""
    return {FILE: json.dumps(create_app(_never_started).openapi(), indent=2, ensure_ascii=False) + "\n"}


if __name__ == "__main__":
    run(generate, __doc__)
