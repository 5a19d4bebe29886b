"""The one-shot commands: each opens what it needs, calls one use case, prints, and closes."""

import sys
from typing import Final

from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.settings import Settings

COMPARED: Final = 3


def addresses(settings: Settings) -> int:
    """Prints what the device must show, too. Raises WrongXpub."""
    key = AccountKey(settings.xpub)
    say(f"fingerprint  {key.fingerprint}")
    for index in range(COMPARED):
        say(f"{key.path(index):<20} {address_text(key.address(index))}")
    return 0


def say(line: str) -> None:
    """One line of a command's output."""
    sys.stdout.write(line + "\n")
