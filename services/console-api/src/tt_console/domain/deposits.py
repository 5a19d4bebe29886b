"""What a customer is told about deposits: amounts as text, links to the chain, what to mind before sending.

USDT is integer micro-USDT inside and a decimal string outside. No floats.
"""

from typing import Final, Literal

import msgspec

from tt_common.contracts.deposit_events import NANOUSD_PER_MICRO_USDT
from tt_common.contracts.deposits import AddressState, DepositState, ScannerState
from tt_common.errors import DomainError
from tt_common.money import format_usd, parse_usd

CONTRACT_END: Final = 6
EXPLORERS: Final = {
    "mainnet": "https://tronscan.org/#/transaction/",
    "nile": "https://nile.tronscan.org/#/transaction/",
    "shasta": "https://shasta.tronscan.org/#/transaction/",
}
MAIN_NETWORK: Final = "mainnet"

OPEN_STATES: Final[tuple[DepositState, ...]] = ("detected", "confirming", "crediting")
"""What a deposit passes through by itself, within minutes."""

AdviceCode = Literal[
    "address_unusable",
    "trc20_usdt_only",
    "test_network",
    "minimum",
    "not_activated",
    "fees_reduce_amount",
    "exchanges_welcome",
    "address_stays_valid",
]


class Advice(msgspec.Struct, frozen=True):
    """One thing to know before sending; `level` is `warning` where money could be lost."""

    code: AdviceCode
    level: Literal["info", "warning"]
    text: str


class DepositStatus(msgspec.Struct, frozen=True):
    """Whether deposits arrive as usual; `eta_s` is how long catching up takes, None where nothing is late or nobody knows."""

    network: str
    delayed: bool
    halted: bool
    eta_s: int | None
    read_until_ms: int | None

    def says_the_same(self, other: "DepositStatus") -> bool:
        """Whether a customer who was told the other needs not be told this one."""
        return (self.delayed, self.halted, self.eta_s) == (other.delayed, other.halted, other.eta_s)


def format_usdt(micro_usdt: int) -> str:
    """Micro-USDT as decimal USDT, exact, at least two decimals: `25.00`, `0.000001`."""
    return format_usd(micro_usdt * NANOUSD_PER_MICRO_USDT)


def parse_usdt(text: str, param: str) -> int:
    """Decimal USDT above 0, at most six decimals, as micro-USDT. Raises DomainError invalid_amount that names `param`."""
    try:
        micro_usdt, rest = divmod(parse_usd(text), NANOUSD_PER_MICRO_USDT)
    except ValueError:
        micro_usdt, rest = 0, 0
    if micro_usdt <= 0 or rest:
        rule = "a decimal number of USDT above 0 with at most 6 decimals, such as 25.50"
        raise DomainError("invalid_amount", f"{param}: {rule}", param=param)
    return micro_usdt


def explorer_url(network: str, txid: str) -> str | None:
    """Where a transaction can be looked at; None on a network without an explorer."""
    base = EXPLORERS.get(network)
    return None if base is None else f"{base}{txid}"


def advice_for(state: AddressState) -> list[Advice]:
    """What to mind when sending to this address, the gravest first."""
    end, minimum = state.contract[-CONTRACT_END:], format_usdt(state.minimum_micro_usdt)
    advice: list[Advice] = []
    if not state.usable:
        text = "Send nothing to this address: the issuer of USDT has blocked it. Please write to us."
        advice.append(Advice("address_unusable", "warning", text))
    text = f"Send only USDT by TRC-20 on TRON (token contract ending in {end}). Anything else is lost."
    advice.append(Advice("trc20_usdt_only", "warning", text))
    if state.network != MAIN_NETWORK:
        text = f"This is the test network {state.network}: real USDT that is sent here does not arrive."
        advice.append(Advice("test_network", "warning", text))
    text = f"Less than {minimum} USDT is kept and credited once all that has arrived reaches {minimum} USDT."
    advice.append(Advice("minimum", "info", text))
    if not state.activated:
        text = (
            "The address is new on the chain: a wallet may ask for a little more network fee, or warn, the first time."
        )
        advice.append(Advice("not_activated", "info", text))
    return [*advice, *_ALWAYS]


def status_of(scanner: ScannerState) -> DepositStatus:
    """What a customer is told of the scanner."""
    return DepositStatus(
        network=scanner.network,
        delayed=scanner.delayed,
        halted=bool(scanner.halted_reason),
        eta_s=round(scanner.eta_s) if scanner.delayed and scanner.eta_s is not None else None,
        read_until_ms=scanner.cursor_time_ms,
    )


_ALWAYS: Final = (
    Advice(
        "fees_reduce_amount", "info", "What arrives is credited: a fee that an exchange takes off comes off the amount."
    ),
    Advice("exchanges_welcome", "info", "Sending from an exchange is fine."),
    Advice("address_stays_valid", "info", "The address is yours and stays valid; use it as often as you like."),
)
