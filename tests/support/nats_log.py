"""What the NATS server refused to the product's own users: each line is a permission that is missing in contracts/nats_users.py."""

from tt_common.teams.accounts import PRODUCT_ACCOUNT
from tt_sandbox.stack.nats_server import EmbeddedNats


def refusals(server: EmbeddedNats) -> list[str]:
    """Lines of the server's log; those about internal teams are not among them."""
    log = server.process.log_path
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if "Violation" in line and f'"{PRODUCT_ACCOUNT}/' in line]
