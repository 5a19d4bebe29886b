"""Gives an internal team its credentials on a running NATS, changes them, takes them back.

The order is always files, reload, then what only the reloaded server can do, so that a command that broke off is simply run again.
Never touches the product's own streams and consumers.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from urllib.parse import quote

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, ExternalStream, StorageType, StreamConfig, StreamSource
from nats.js.client import JetStreamContext

from tt_common.contracts.streams import USAGE
from tt_common.teams.accounts import COPY_BYTES_MAX, IMPORTED_API, Team, TeamFiles, new_team, with_new_password

log = logging.getLogger(__name__)

RELOADED_TIMEOUT_S = 15.0
SOURCED_TIMEOUT_S = 30.0
OWNER_TIMEOUT_S = 60.0
JETSTREAM_TIMEOUT_S = 5.0
POLL_S = 0.2
# A reload of the server drops connections, and requests to JetStream that it has not answered; all made here can be repeated.
LOST_IN_RELOAD = (nats.js.errors.ServiceUnavailableError, nats.errors.ConnectionClosedError, TimeoutError)


class TeamError(RuntimeError):
    """The command can't be carried out; the message says why in one line."""


class TeamAccess:
    """`server` is host:port of NATS, `reload` makes it read its configuration again (SIGHUP)."""

    def __init__(self, files: TeamFiles, server: str, reload: Callable[[], None], replicas: int = 1) -> None:
        self._files = files
        self._server = server
        self._reload = reload
        self._replicas = replicas

    def url(self, team: Team) -> str:
        """The URL that the team connects to, with its password."""
        return f"nats://{team.user}:{quote(team.password, safe='')}@{self._server}"

    async def grant(self, name: str) -> tuple[Team, bool]:
        """Make the team's account and its copy of USAGE, from the oldest event on. Repeating completes what is missing.

        Gives the team, and whether it is new. TeamError, or ValueError for a name that can't be one.
        """
        teams = self._files.read()
        known = teams.get(name)
        team = known or new_team(name)
        if known is None:
            self._files.write({**teams, name: team})

        async def complete(owner: Client) -> None:
            await self._until_imports_work(owner)
            await self._make_copy(owner.jetstream(timeout=JETSTREAM_TIMEOUT_S), team)

        await self._as_owner(team, complete)
        return team, known is None

    async def rotate(self, name: str) -> Team:
        """A new password; the old one ends at once, its connections too. The copy and its consumers stay. TeamError."""
        teams = self._files.read()
        team = with_new_password(_known(teams, name))
        self._files.write({**teams, name: team})
        self._reload()
        await _close(await self._let_in(self.url(team)))
        return team

    async def revoke(self, name: str) -> None:
        """Remove the team, its copy and its consumers. TeamError where there is no such team."""
        teams = self._files.read()
        team = _known(teams, name)
        await self._as_owner(team, _delete_copy)
        self._files.write({other: kept for other, kept in teams.items() if other != name})
        self._reload()
        async with _limit(RELOADED_TIMEOUT_S, "NATS still lets the team in: was its configuration reloaded?"):
            while True:
                if not await is_accepted(self.url(team)):
                    return
                await asyncio.sleep(POLL_S)

    async def _as_owner(self, team: Team, work: Callable[[Client], Awaitable[None]]) -> None:
        """Does `work`, again where the reload cut it off."""
        url = f"nats://{team.owner}:{quote(team.owner_password, safe='')}@{self._server}"
        self._reload()
        async with _limit(OWNER_TIMEOUT_S, "NATS does not answer the team's account: look at its log"):
            while True:
                owner = await self._let_in(url)
                try:
                    await work(owner)
                except LOST_IN_RELOAD as error:
                    log.debug("cut off by a reload", extra={"error": repr(error)})
                    await asyncio.sleep(POLL_S)
                else:
                    return
                finally:
                    await _close(owner)

    async def _let_in(self, url: str) -> Client:
        """The first connection that the server accepts, which says that it has read the files.

        A reload refuses users whom it knows too, for a moment; so an attempt alone says nothing about the next one.
        """
        async with _limit(RELOADED_TIMEOUT_S, "NATS does not know the team's account: was its configuration reloaded?"):
            while True:
                if client := await _accepted(url):
                    return client
                await asyncio.sleep(POLL_S)

    async def _until_imports_work(self, owner: Client) -> None:
        """NATS 2.15 activates the service imports of an account that a reload added only with the reload after it.

        An empty request is answered with an error once the import leads somewhere, and by nobody before.
        """
        async with _limit(RELOADED_TIMEOUT_S, "the team's account does not reach the stream USAGE: check the exports"):
            while True:
                try:
                    await owner.request(f"{IMPORTED_API}.CONSUMER.CREATE.{USAGE.name}", b"?", timeout=1)
                    return
                except (nats.errors.NoRespondersError, nats.errors.TimeoutError, TimeoutError):
                    self._reload()
                    await asyncio.sleep(POLL_S)

    async def _make_copy(self, js: JetStreamContext, team: Team) -> None:
        config = copy_config(team, self._replicas)
        async with _limit(SOURCED_TIMEOUT_S, "the copy of USAGE does not fill: look at the log of NATS"):
            made = False
            while not made or not await _is_sourced(js):
                try:
                    made = made or await _make_stream(js, config)
                except (nats.js.errors.ServiceUnavailableError, TimeoutError) as error:
                    log.debug("JetStream of the new account is not up yet", extra={"error": repr(error)})
                await asyncio.sleep(POLL_S)


async def is_accepted(url: str) -> bool:
    """Whether the server lets this user in now. False also where nobody answers."""
    client = await _accepted(url)
    if client is not None:
        await _close(client)
    return client is not None


async def _accepted(url: str) -> Client | None:
    client = Client()
    try:
        await client.connect(url, name="tt-teams", allow_reconnect=False, connect_timeout=2, error_cb=_quiet)
    except (nats.errors.Error, OSError, TimeoutError):
        await _close(client)
        return None
    return client


async def _close(client: Client) -> None:
    """The server resets connections of users whom a reload took away; nats-py says so when it closes them."""
    with contextlib.suppress(OSError):
        await client.close()


def copy_config(team: Team, replicas: int) -> StreamConfig:
    """The team's own USAGE: filled from the product's alone, so it has no subjects; what is too old or too much falls out."""
    source = StreamSource(
        name=USAGE.name,
        external=ExternalStream(api=IMPORTED_API, deliver=team.deliveries),
    )
    return StreamConfig(
        name=USAGE.name,
        description=f"usage events for {team.name}, sourced from the product's USAGE",
        sources=[source],
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_bytes=COPY_BYTES_MAX,
        max_age=USAGE.max_age_s,
        num_replicas=replicas,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
    )


async def _make_stream(js: JetStreamContext, config: StreamConfig) -> bool:
    try:
        await js.stream_info(USAGE.name)
    except nats.js.errors.NotFoundError:
        await js.add_stream(config)
    else:
        await js.update_stream(config)
    return True


async def _delete_copy(owner: Client) -> None:
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await owner.jetstream(timeout=JETSTREAM_TIMEOUT_S).delete_stream(USAGE.name)


async def _is_sourced(js: JetStreamContext) -> bool:
    """True once the source has been heard of (`active` is -1 before that)."""
    sources = (await js.stream_info(USAGE.name)).sources or []
    return bool(sources) and (sources[0].active or 0) >= 0


def _known(teams: dict[str, Team], name: str) -> Team:
    if name not in teams:
        raise TeamError(f"there is no team {name}")
    return teams[name]


@contextlib.asynccontextmanager
async def _limit(timeout_s: float, complaint: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise TeamError(complaint) from error


async def _quiet(_error: Exception) -> None:
    """Refused attempts are part of waiting; what lasts is reported as TeamError."""
