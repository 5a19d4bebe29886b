"""nats-py without what costs as much as the rest of a message: quicker headers, and subscriptions without a queue and a task.

Keeps nats-py's own state (reconnects, resubscribes and statistics are its), and leans on three of its private methods; `tests/unit/common`
holds them to what nats-py itself does.
"""

# pyright: reportUnknownMemberType=false, reportPrivateUsage=false, reportUnknownVariableType=false

from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

DirectHandler = Callable[[str, bytes], None]
"""Gets subject and payload of a message; must not block and must not raise."""


class LeanClient(Client):
    """One connection. Use `connection.connect` to make one."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, DirectHandler] = {}

    async def subscribe_direct(self, subject: str, handler: DirectHandler) -> Subscription:
        """Every message goes to `handler` as it is read off the socket, without its headers. For many small messages, such as acks."""

        async def unreached(_: Msg) -> None:
            """Makes nats-py keep the subscription alive; its messages never get here."""

        subscription = await self.subscribe(subject, cb=unreached)
        self._direct[subscription._id] = handler
        return subscription

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self._direct.pop(sid, None)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        handler = self._direct.get(sid)
        if handler is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        handler(bytes(subject).decode(), data)

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, Any] | None
    ) -> None:
        if headers is None:
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        head = encode_headers(headers)
        line = f"HPUB {subject} {reply} {len(head)} {len(head) + payload_size}\r\n".encode()
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        await self._send_command(b"%b%b%b\r\n" % (line, head, payload))
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.strip()
            if colon and name.isascii() and not (" " in name or "\t" in name):
                headers[name] = value.strip()
        return headers


def encode_headers(headers: dict[str, str]) -> bytes:
    """A NATS header block. Raises ValueError where a name or value would break out of its line."""
    # Added, not formatted: nats-py names some headers by an enumeration, whose members format as their own names.
    lines = "".join([name + ": " + value + "\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a NATS header with a line break in it")
    return f"NATS/1.0\r\n{lines}\r\n".encode()
