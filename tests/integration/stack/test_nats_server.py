"""The embedded NATS: durable JetStream behind a password."""

import stat

import nats
import nats.errors
import pytest

from tt_sandbox.stack import EmbeddedNats


async def test_stored_message_survives_kill_dash_nine(nats_server: EmbeddedNats) -> None:
    connection = await nats.connect(nats_server.url)
    await connection.jetstream().add_stream(name="ORDERS", subjects=["orders"])
    await connection.jetstream().publish("orders", b"one")
    await connection.close()

    nats_server.kill()
    nats_server.start()

    connection = await nats.connect(nats_server.url)
    message = await connection.jetstream().get_msg("ORDERS", 1)
    await connection.close()
    assert message.data == b"one"


async def test_wrong_password_is_refused(nats_server: EmbeddedNats) -> None:
    url = nats_server.url.replace(nats_server.password, "wrong")

    async def ignore(_error: Exception) -> None:
        """The client reports each refused attempt; the exception below is what counts."""

    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await nats.connect(url, allow_reconnect=False, connect_timeout=2, error_cb=ignore)


def test_password_file_is_private(nats_server: EmbeddedNats) -> None:
    assert stat.S_IMODE((nats_server.store_dir / "nats.conf").stat().st_mode) == 0o600


def test_password_is_not_on_the_command_line(nats_server: EmbeddedNats) -> None:
    assert nats_server.password not in " ".join(nats_server.process.argv)
