"""A service that can't start says why, and never with its passwords: not in a traceback, not in a settings error."""

import os
import subprocess
import sys

import pytest

SECRET = "canary-5d1c7e"
NOWHERE_NATS = f"nats://user:{SECRET}@127.0.0.1:9"
NOWHERE_DATABASE = f"postgresql+psycopg://user:{SECRET}@127.0.0.1:9/nothing"
EDGE = {"EDGE_NATS_URL": NOWHERE_NATS}
BILLING = {"BILLING_NATS_URL": NOWHERE_NATS, "BILLING_DATABASE_URL": NOWHERE_DATABASE}
CONSOLE = {"CONSOLE_NATS_URL": NOWHERE_NATS, "CONSOLE_DATABASE_URL": NOWHERE_DATABASE}

CRASHES: dict[str, tuple[list[str], dict[str, str]]] = {
    "edge without a setting": (["tt_edge"], EDGE),
    "edge with a wrong setting": (["tt_edge"], {**EDGE, "EDGE_JOURNAL_DIR": "/nowhere", "EDGE_PORT": "x"}),
    "edge with a secret in the wrong place": (
        ["tt_edge"],
        {**EDGE, "EDGE_JOURNAL_DIR": "/nowhere", "EDGE_PORT": SECRET},
    ),
    "billing without a database": (["tt_billing", "replay"], BILLING),
    "billing with a wrong setting": (["tt_billing", "serve"], {**BILLING, "BILLING_PORT": SECRET}),
    "console without a database to migrate": (
        ["tt_console", "migrate"],
        {**CONSOLE, "CONSOLE_OWNER_DATABASE_URL": NOWHERE_DATABASE},
    ),
    "console with a wrong setting": (["tt_console", "serve"], {**CONSOLE, "CONSOLE_PORT": SECRET}),
    "console without a setting": (["tt_console", "serve"], {"CONSOLE_NATS_URL": NOWHERE_NATS}),
}


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_tells_no_password(crash: str) -> None:
    arguments, given = CRASHES[crash]
    prefixes = ("EDGE_", "BILLING_", "CONSOLE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | given

    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )

    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.strip()
    # The end alone would do: pydantic, for one, shortens what it shows in the middle.
    assert SECRET[-6:] not in said
