"""The product's NATS account as a file for compose and Kubernetes, and as a table for people. `python -m tests.tidy.nats_users --write`."""

from pathlib import Path

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_common.contracts.nats_users import USERS, NatsUser
from tt_common.nats_accounts import account_with_variables, password_variable

CONFIG = ROOT / "deploy" / "nats" / "tokentally.conf"
PAGE = ROOT / "docs" / "nats-users.md"
HEAD = """\
# NATS users

Every service has a user of its own in the account `TOKENTALLY`, allowed only the subjects below and its own inboxes (`_INBOX.<user>.>`);
whatever is not listed is refused by the server. Declared in `libs/common/src/tt_common/contracts/nats_users.py`; this page and
`deploy/nats/tokentally.conf`, which compose and Kubernetes include, are made of it (`make generate`). The stack of `make up`
writes the same account with random passwords, which lie in the data folder (0600).

A connection made by `tt_common.bus.connection.connect` takes its inbox prefix from the user in its URL. With the `nats`
command-line tool say `--inbox-prefix=_INBOX.admin`, or billing's answers go to an inbox that it may not write to.

Billing may write to the inboxes of those who may ask it, by name. `allow_responses` of NATS would do less: a user who overhears a message
(the edges overhear what is put into the buckets) could then answer it in the broker's place.

Internal teams have accounts of their own: [events](events.md).
"""


def generate() -> dict[Path, str]:
    """Both files."""
    return {CONFIG: account_with_variables(), PAGE: "\n".join([HEAD, *(_section(user) for user in USERS)])}


def _section(user: NatsUser) -> str:
    rows = [("publish", user.publish), ("never publish", user.never_publish), ("subscribe", user.may_subscribe)]
    lines = [f"| {what} | {' '.join(f'`{s}`' for s in sorted(set(subjects)))} |" for what, subjects in rows if subjects]
    title = f"## {user.name}\n\n{user.purpose[0].upper()}{user.purpose[1:]}. Its password comes from `{password_variable(user)}`."
    return "\n".join([title, "", "| may | subjects |", "| --- | --- |", *lines, ""])


if __name__ == "__main__":
    run(generate, __doc__)
