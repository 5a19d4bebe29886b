"""What the deposits service of a stack watches: the sandbox chain, unless whoever starts the stack names a real one.

Invariant: the sandbox's key, which is published, is never used on a real chain.
"""

import json
from collections.abc import Mapping
from typing import Final

SANDBOX_NETWORK: Final = "sandbox"
# Account 0 of the published test seed of Trezor's firmware: whoever reads this can spend what is sent to its addresses.
SANDBOX_XPUB: Final = (
    "xpub6DCWphzD1URX6NLY4bzJQoNz3Ja14ueGphAz3c7XdzyfR3hbsv4XybKuXVPSGFiASvcugTyiJrQyw5u33izp6rB1W9fgZM4ugKQJQBcEFo8"
)
SANDBOX_NODES: Final = ("a", "b")
# A block a second: what is solid is seen soon.
SANDBOX_POLL_S: Final = "0.5"


def sandbox_deposits(chain_url: str) -> dict[str, str]:
    """The variables of a service that watches two nodes of the sandbox chain."""
    nodes = [{"name": name, "url": f"{chain_url}/nodes/{name}"} for name in SANDBOX_NODES]
    return {
        "DEPOSITS_NETWORK": SANDBOX_NETWORK,
        "DEPOSITS_XPUB": SANDBOX_XPUB,
        "DEPOSITS_XPUB_FINGERPRINT": "",
        "DEPOSITS_NODES": json.dumps(nodes),
        "DEPOSITS_CONTRACT": "",
        "DEPOSITS_POLL_S": SANDBOX_POLL_S,
    }


def given_deposits(environment: Mapping[str, str]) -> dict[str, str]:
    """What `environment` says of deposits, to be laid over `sandbox_deposits`. A real chain takes nothing of the sandbox's."""
    given = {name: value for name, value in environment.items() if name.startswith("DEPOSITS_")}
    if "DEPOSITS_NODES" not in given and given.get("DEPOSITS_NETWORK", SANDBOX_NETWORK) == SANDBOX_NETWORK:
        return given
    empty = {"DEPOSITS_NETWORK": "mainnet", "DEPOSITS_XPUB": "", "DEPOSITS_NODES": "[]", "DEPOSITS_POLL_S": "1"}
    return empty | given
