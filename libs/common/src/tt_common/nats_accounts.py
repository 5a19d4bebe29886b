"""The product's account in the NATS configuration, the same for the stack, compose and Kubernetes: `contracts.nats_users` and passwords.

`python -m tt_common.nats_accounts` prints it with the passwords left to the server's environment, as `deploy/nats/tokentally.conf` has it.
To be included inside `accounts { }`, beside `teams.conf`. Never talks to NATS.
"""

import json
import sys
from collections.abc import Mapping

from tt_common.contracts.nats_users import USERS, NatsUser
from tt_common.teams.accounts import PRODUCT_ACCOUNT, product_exports

HEADER = """\
# Made by python -m tt_common.nats_accounts; include it inside accounts { }.
# Passwords come from the server's environment. NATS reads a variable as configuration: letters, digits, - and _ only, a letter first.
"""


def password_variable(user: NatsUser) -> str:
    """The environment variable of the server that holds a user's password."""
    return f"NATS_{user.name.upper()}_PASSWORD"


def account_with_passwords(passwords: Mapping[str, str]) -> str:
    """The account with every user's password in it: a private file. KeyError where one is missing."""
    # JSON strings, which the configuration language reads as they are.
    return _account({user.name: json.dumps(passwords[user.name]) for user in USERS})


def account_with_variables() -> str:
    """The account without any secret."""
    return HEADER + _account({user.name: f"${password_variable(user)}" for user in USERS})


def _account(passwords: Mapping[str, str]) -> str:
    users = "\n".join(_user(user, passwords[user.name]) for user in USERS)
    return f"""{PRODUCT_ACCOUNT} {{
  jetstream: enabled
  users: [
{users}
  ]
  exports: {product_exports()}
}}
"""


def _user(user: NatsUser, password: str) -> str:
    deny = f", deny: {_list(user.never_publish)}" if user.never_publish else ""
    return f"""    # {user.purpose}
    {{ user: {json.dumps(user.name)}, password: {password}, permissions: {{
        publish: {{ allow: {_list(user.publish)}{deny} }}
        subscribe: {{ allow: {_list(user.may_subscribe)} }}
    }} }}"""


def _list(subjects: tuple[str, ...]) -> str:
    lines = ",\n".join(f"          {json.dumps(subject)}" for subject in sorted(set(subjects)))
    return f"[\n{lines}\n        ]"


if __name__ == "__main__":
    sys.stdout.write(account_with_variables())
