"""The embedded engines and the supervised stack; `make up` and the tests share this code."""

from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.process import StartError
from tt_sandbox.stack.settings import Ports
from tt_sandbox.stack.stack import Stack

__all__ = ["EmbeddedNats", "EmbeddedPostgres", "Ports", "Stack", "StartError"]
