"""What a test asks the chain to hold: one transaction in the words of docs/sandbox-chain.md, kept as it was asked."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tt_sandbox.chain import usdt
from tt_sandbox.chain.addresses import made_up, parse, to_base58
from tt_sandbox.chain.transactions import LOGS_STAY, Outcome, Transaction, contract_call, trx_call
from tt_sandbox.chain.usdt import EventName, Log

HOT_WALLET: Final = made_up("hot wallet of an exchange")
PAYOUT_CONTRACT: Final = made_up("contract that pays out to many")
FAKE_USDT: Final = made_up("contract that calls itself USDT")
USDT_OWNER: Final = made_up("owner of the USDT contract")
TRANSFERS_MAX: Final = 200
TRX_SUN_MAX: Final = 2**63 - 1

Address = Annotated[str, AfterValidator(lambda text: to_base58(parse(text)))]
Amount = Annotated[int, Field(ge=0, le=usdt.UINT256_MAX)]
LogShape = Literal["normal", "two_topics", "four_topics", "short_data", "long_data"]


class Strict(BaseModel):
    """A request that knows its words."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Transfer(Strict):
    """One movement of a token, in units of 10**-6."""

    to: Address
    amount_micro_usdt: Amount
    sender: Address | None = Field(default=None, alias="from")


class Script(Strict):
    """One transaction: a transfer (`to`, `amount_micro_usdt`), several (`transfers`), plain TRX (`amount_sun`) or a contract `event`."""

    to: Address | None = None
    amount_micro_usdt: Amount | None = None
    sender: Address | None = Field(default=None, alias="from")
    transfers: tuple[Transfer, ...] = Field(default=(), max_length=TRANSFERS_MAX)
    amount_sun: int | None = Field(default=None, gt=0, le=TRX_SUN_MAX)
    event: EventName | None = None
    address: Address | None = None
    contract: Literal["usdt", "fake"] | Address = "usdt"
    outcome: Outcome = Outcome.SUCCESS
    log_shape: LogShape = "normal"
    fee_micro_usdt: Amount = 0
    """What the contract keeps back of a single transfer: the log tells less than the call asked for."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.transfers, self.amount_sun, self.event, self.amount_micro_usdt if self.event is None else None]
        if sum(kind is not None and kind != () for kind in kinds) != 1:
            raise ValueError("exactly one of amount_micro_usdt, transfers, amount_sun and event is needed")
        if (self.to is not None) != (self.event is None and not self.transfers):
            raise ValueError("`to` belongs to amount_micro_usdt and amount_sun, which need it")
        if (self.event in usdt.WITH_ADDRESS) != (self.address is not None):
            raise ValueError("`address` belongs to AddedBlackList, RemovedBlackList, DestroyedBlackFunds and Deprecate")
        if self.amount_sun is not None and self.outcome is not Outcome.SUCCESS:
            raise ValueError("a plain TRX transfer has no outcome")
        if self.fee_micro_usdt and self.fee_micro_usdt > (self.amount_micro_usdt or 0):
            raise ValueError("`fee_micro_usdt` is a part of amount_micro_usdt")
        return self

    @property
    def payer(self) -> bytes:
        return HOT_WALLET if self.sender is None else parse(self.sender)

    def movements(self) -> list[tuple[bytes, bytes, int]]:
        """From, to and amount of every transfer that the logs tell, whatever the token and the outcome."""
        if self.transfers:
            return [
                (self.payer if item.sender is None else parse(item.sender), parse(item.to), item.amount_micro_usdt)
                for item in self.transfers
            ]
        if self.event is not None or self.to is None or self.amount_micro_usdt is None:
            return []
        net = (self.payer, parse(self.to), self.amount_micro_usdt - self.fee_micro_usdt)
        return [net, (self.payer, USDT_OWNER, self.fee_micro_usdt)] if self.fee_micro_usdt else [net]


def transaction(script: Script, usdt_contract: bytes, height: int, sequence: int) -> Transaction:
    """What the nodes tell of a script that was given to a chain below `height`."""
    if script.amount_sun is not None and script.to is not None:
        return Transaction(
            trx_call(script.payer, parse(script.to), script.amount_sun), height, sequence, Outcome.SUCCESS, ()
        )
    if script.event is not None:
        address = None if script.address is None else parse(script.address)
        data, log = usdt.event(usdt_contract, script.event, address, script.amount_micro_usdt or 0)
        call, logs, result = contract_call(USDT_OWNER, usdt_contract, data), [log], b""
    else:
        token = {"usdt": usdt_contract, "fake": FAKE_USDT}.get(script.contract) or parse(script.contract)
        logs = [_shaped(usdt.transfer_log(token, *item), script.log_shape) for item in script.movements()]
        # USDT's transfer() is declared to return a bool and returns nothing: zero, also when all went well.
        result = usdt.word(0)
        if script.transfers:
            batch = usdt.batch_call([(to, amount) for _, to, amount in script.movements()])
            call = contract_call(script.payer, PAYOUT_CONTRACT, batch)
        else:
            data = usdt.transfer_call(parse(script.to or ""), script.amount_micro_usdt or 0)
            call = contract_call(script.payer, token, data)
    told = tuple(logs) if script.outcome in LOGS_STAY else ()
    return Transaction(
        call, height, sequence, script.outcome, told, result if script.outcome is Outcome.SUCCESS else b""
    )


def _shaped(log: Log, shape: LogShape) -> Log:
    match shape:
        case "normal":
            return log
        case "two_topics":
            return Log(log.address, log.topics[:2], log.topics[2] + log.data)
        case "four_topics":
            return Log(log.address, (*log.topics, log.data), b"")
        case "short_data":
            return Log(log.address, log.topics, log.data[1:])
        case "long_data":
            return Log(log.address, log.topics, log.data + usdt.word(0))
