"""The NATS configuration of internal teams: who they are (`teams.json`) and the accounts made of it (`teams.conf`).

Invariant: a team's account imports exactly what its sourced copy of USAGE needs: making that copy's own consumer, its flow control and
its deliveries; the team's user can publish to none of it. Both files hold passwords and are private (0600). Never talks to NATS.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tt_common.contracts.streams import MIB, USAGE

PRODUCT_ACCOUNT = "TOKENTALLY"
IMPORTED_API = "tokentally.API"
"""The prefix under which a team's account sees the product's `$JS.API`, as far as it sees it at all."""
DELIVERIES = "teams.usage"

TEAMS_MAX = 100
CONNECTIONS_MAX = 32
SUBSCRIPTIONS_MAX = 1_000
CONSUMERS_MAX = 16
COPY_BYTES_MAX = 1024 * MIB
FILE_BYTES_MAX = COPY_BYTES_MAX + 64 * MIB  # consumers keep their state in files too
MEMORY_BYTES_MAX = 16 * MIB

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PASSWORD_BYTES = 24

# The JetStream API of the team's own account, on its copy alone: read it and manage consumers. Nothing of the stream itself.
_MAY_PUBLISH = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    f"$JS.API.STREAM.INFO.{USAGE.name}",
    f"$JS.API.STREAM.MSG.GET.{USAGE.name}",
    f"$JS.API.DIRECT.GET.{USAGE.name}",
    f"$JS.API.DIRECT.GET.{USAGE.name}.>",
    f"$JS.API.CONSUMER.*.{USAGE.name}",
    f"$JS.API.CONSUMER.*.{USAGE.name}.>",
    f"$JS.API.CONSUMER.DURABLE.CREATE.{USAGE.name}.*",
    f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.*",
    f"$JS.ACK.{USAGE.name}.>",
)


class Team(msgspec.Struct, frozen=True):
    """One internal team. The owner's password is the operator's: it makes and removes the copy."""

    name: str
    password: str
    owner_password: str

    @property
    def account(self) -> str:
        return f"TEAM_{self.name}"

    @property
    def user(self) -> str:
        return f"team-{self.name}"

    @property
    def owner(self) -> str:
        return f"teamowner-{self.name}"

    @property
    def deliveries(self) -> str:
        """The prefix of the subjects on which the product's account delivers to this team's copy."""
        return f"{DELIVERIES}.{self.name}"


def new_team(name: str) -> Team:
    """A team with fresh random passwords. ValueError unless the name is lower case letters, digits and hyphens, 31 at most."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("a team's name is 1 to 31 lower-case letters, digits and hyphens, and begins with a letter")
    return Team(name, secrets.token_urlsafe(_PASSWORD_BYTES), secrets.token_urlsafe(_PASSWORD_BYTES))


def with_new_password(team: Team) -> Team:
    """The same team with another password for its user."""
    return Team(team.name, secrets.token_urlsafe(_PASSWORD_BYTES), team.owner_password)


class TeamFiles:
    """`teams.json` and `teams.conf` in one folder, which the server's configuration includes inside `accounts { }`."""

    def __init__(self, folder: Path) -> None:
        self._registry = folder / "teams.json"
        self._config = folder / "teams.conf"

    def create(self) -> None:
        """Writes the configuration anew from the registry; an empty one where there are no teams yet. Idempotent."""
        self.write(self.read())

    def read(self) -> dict[str, Team]:
        """The teams by name."""
        if not self._registry.exists():
            return {}
        return msgspec.json.decode(self._registry.read_bytes(), type=dict[str, Team])

    def write(self, teams: Mapping[str, Team]) -> None:
        """Replaces both files. ValueError above TEAMS_MAX."""
        if len(teams) > TEAMS_MAX:
            raise ValueError(f"there are {TEAMS_MAX} teams already")
        _write_private(self._registry, msgspec.json.format(msgspec.json.encode(dict(teams)), indent=2).decode() + "\n")
        _write_private(self._config, "\n".join(_account(team) for _, team in sorted(teams.items())))


def product_exports() -> str:
    """What the product's account offers to teams: the value of its `exports`. The same whatever teams there are.

    Creating a consumer is offered on the exact subject that a source without a filter uses: the longer subjects, which could name
    billing's durable, stay closed.
    """
    return f"""[
      {{ service: "$JS.API.CONSUMER.CREATE.{USAGE.name}" }}
      {{ service: "$JS.FC.{USAGE.name}.>" }}
      {{ stream: "{DELIVERIES}.*.>" }}
    ]"""


def _account(team: Team) -> str:
    # Every value a JSON string or number, which the configuration language reads as they are.
    create = f"CONSUMER.CREATE.{USAGE.name}"
    return f"""{json.dumps(team.account)} {{
  jetstream {{ max_mem: {MEMORY_BYTES_MAX}, max_file: {FILE_BYTES_MAX}, max_streams: 1, max_consumers: {CONSUMERS_MAX} }}
  limits {{ max_connections: {CONNECTIONS_MAX}, max_subscriptions: {SUBSCRIPTIONS_MAX} }}
  imports: [
    {{ service: {{ account: {PRODUCT_ACCOUNT}, subject: "$JS.API.{create}" }}, to: "{IMPORTED_API}.{create}" }}
    {{ service: {{ account: {PRODUCT_ACCOUNT}, subject: "$JS.FC.{USAGE.name}.>" }} }}
    {{ stream: {{ account: {PRODUCT_ACCOUNT}, subject: {json.dumps(team.deliveries + ".>")} }} }}
  ]
  users: [
    {{ user: {json.dumps(team.owner)}, password: {json.dumps(team.owner_password)} }}
    {{ user: {json.dumps(team.user)}, password: {json.dumps(team.password)}, permissions: {{
        publish: {{ allow: {json.dumps(_MAY_PUBLISH)} }}
        subscribe: {{ allow: ["_INBOX.>"] }}
    }} }}
  ]
}}
"""


def _write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner alone."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
