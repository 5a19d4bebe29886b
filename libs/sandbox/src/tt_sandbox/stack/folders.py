"""The data folder of a stack and what lies where in it; generated passwords included.

Never deletes anything that the stack has not made.
"""

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from tt_common.contracts.nats_users import USERS

DATABASE_PASSWORDS = ("billing_owner", "billing_app", "deposits_owner", "deposits_app", "console_owner", "console_app")
NATS_PREFIX = "nats_"
PASSWORDS = (*DATABASE_PASSWORDS, *(f"{NATS_PREFIX}{user.name}" for user in USERS))


@dataclass(frozen=True)
class DataFolder:
    """Paths below one root."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process ids and the supervisor's lock."""
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def edge_journal(self) -> Path:
        return self.root / "edge-journal"

    @property
    def chain(self) -> Path:
        """What the sandbox chain remembers."""
        return self.root / "chain"

    @property
    def demo_key(self) -> Path:
        return self.root / "demo-key"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> Path:
        """The pid file of one process."""
        return self.run / f"{name}.pid"

    def create(self) -> None:
        """Makes the folders, for the owner's eyes only. Idempotent."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.run, self.postgres, self.nats, self.edge_journal, self.chain):
            folder.mkdir(mode=0o700, exist_ok=True)

    def passwords(self) -> dict[str, str]:
        """The stack's passwords, generated once and kept (0600)."""
        kept: dict[str, str] = json.loads(self.secrets.read_text()) if self.secrets.exists() else {}
        missing = [name for name in PASSWORDS if name not in kept]
        if missing:
            kept |= {name: secrets.token_urlsafe(24) for name in missing}
            write_private(self.secrets, json.dumps(kept, indent=2) + "\n")
        return kept

    def nats_passwords(self) -> dict[str, str]:
        """The same of NATS alone, by user."""
        return {
            name.removeprefix(NATS_PREFIX): password
            for name, password in self.passwords().items()
            if name.startswith(NATS_PREFIX)
        }

    def delete(self) -> None:
        """Deletes all data; the root only if nothing else is in it."""
        for folder in (self.postgres, self.nats, self.edge_journal, self.chain, self.logs, self.run):
            shutil.rmtree(folder, ignore_errors=True)
        self.secrets.unlink(missing_ok=True)
        self.demo_key.unlink(missing_ok=True)
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner alone."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
