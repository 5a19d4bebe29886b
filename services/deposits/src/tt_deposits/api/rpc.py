"""The RPC methods of deposits: each checks its request, calls one use case and answers."""

from tt_common.bus.rpc import RpcServer
from tt_common.contracts import deposits as d
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import resume


def register(server: RpcServer, context: Context) -> None:
    """Add every method to `server`; call before it starts."""
    server.method(d.SCANNER_RESUME, d.ResumeScanner, lambda request: resume(context, request))
