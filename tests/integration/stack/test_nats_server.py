"""The embedded NATS: durable JetStream behind a password."""

import json
import socket
import stat
from urllib.parse import urlsplit

import nats

from tt_common.contracts.nats_users import USERS
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


def test_wrong_password_is_refused(nats_server: EmbeddedNats) -> None:
    # Over a bare socket: the client library leaves its own open when it is refused.
    login = json.dumps({"user": "admin", "pass": "wrong", "verbose": False})
    with (
        socket.create_connection(("127.0.0.1", nats_server.port), timeout=5) as connection,
        connection.makefile("rb") as answers,
    ):
        answers.readline()
        connection.sendall(f"CONNECT {login}\r\nPING\r\n".encode())
        assert answers.readline() == b"-ERR 'Authorization Violation'\r\n"


def test_password_file_is_private(nats_server: EmbeddedNats) -> None:
    assert stat.S_IMODE((nats_server.store_dir / "nats.conf").stat().st_mode) == 0o600


def test_password_is_not_on_the_command_line(nats_server: EmbeddedNats) -> None:
    passwords = [urlsplit(nats_server.user_url(user.name)).password or "" for user in USERS]

    assert all(passwords)
    assert not any(password in " ".join(nats_server.process.argv) for password in passwords)
