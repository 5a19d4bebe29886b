"""java-tron's HTTP API as far as deposits need it: what each method answers, as bytes with `visible: false`.

Shapes and errors are those of the official documentation (tronprotocol/documentation-en, docs/api/http). An error is an answer too:
java-tron says 200.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from tt_sandbox.chain import filler, usdt
from tt_sandbox.chain.addresses import NotAnAddress, parse, to_hex
from tt_sandbox.chain.faults import FaultKind
from tt_sandbox.chain.transactions import BANDWIDTH_FEE_SUN, ENERGY_FEE_SUN
from tt_sandbox.chain.view import View

NOTHING: Final = b"{}"
PARAMETERS: Final = {
    "getMaintenanceTimeInterval": 21_600_000,
    "getCreateAccountFee": 100_000,
    "getTransactionFee": BANDWIDTH_FEE_SUN,
    "getCreateNewAccountFeeInSystemContract": 1_000_000,
    "getEnergyFee": ENERGY_FEE_SUN,
}
# A balance that has never been asked for needs that much energy to read.
BALANCE_ENERGY: Final = 935


class JavaError(Exception):
    """Told as `{"Error": "class … : …"}`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its method, whether it may see only what is solid, its parameters."""

    method: str
    solid: bool
    fields: Mapping[str, Any]
    visible: bool

    @property
    def height(self) -> int | None:
        """The block it is about, where it names one. Raises JavaError."""
        if self.method not in ("getblockbynum", "gettransactioninfobyblocknum"):
            return None
        number: Any = self.fields.get("num", 0)
        if isinstance(number, str) and number.lstrip("-").isdigit():
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool):
            raise JavaError(f'class java.lang.NumberFormatException : For input string: "{number}"')
        return number


def now_block(asked: Asked, view: View) -> bytes:
    return _block(view.last(asked.solid), asked, view)


def block_by_num(asked: Asked, view: View) -> bytes:
    return _block(asked.height or 0, asked, view)


def infos_by_block_num(asked: Asked, view: View) -> bytes:
    """`[]` for a block that is empty, not there, or not solid yet."""
    height = asked.height or 0
    if height <= 0:
        return NOTHING
    block = view.block(height, asked.solid)
    if block is None or view.fault(FaultKind.INFOS_EMPTY) is not None:
        return b"[]"
    if view.fault(FaultKind.INFOS_OTHER_BLOCK) is not None:
        return _infos_of_another(height, view)
    if (missing := view.fault(FaultKind.INFOS_MISSING)) is not None and block.info_list:
        left_out = len(block.info_list) - 1 if missing.asked.index is None else missing.asked.index
        return b"[%s]" % b",".join(info for index, info in enumerate(block.info_list) if index != left_out)
    return block.infos if view.fault(FaultKind.LOGS_MISSING) is None else _without_logs(block.infos)


def info_by_id(asked: Asked, view: View) -> bytes:
    """`{}` for a transaction that is in no block, or in none that is solid yet."""
    txid: Any = asked.fields.get("value", "")
    try:
        bytes.fromhex(txid)
    except (TypeError, ValueError):
        raise JavaError(
            "class org.tron.core.services.http.JsonFormat$ParseException : 1:11: INVALID hex String"
        ) from None
    if view.fault(FaultKind.ABSENT) is not None:
        return NOTHING
    entry = view.ledger.find(txid.lower())
    told = view.ledger.find_filler(txid.lower()) if entry is None else None
    height = entry.height if entry is not None else told.height if told is not None else None
    block = view.block(height, asked.solid) if height is not None else None
    index = None if block is None else block.by_txid.get(txid.lower())
    if block is None or index is None:
        return NOTHING
    info = block.info_list[index]
    return info if view.fault(FaultKind.LOGS_MISSING) is None else _without_logs(info)


def account(asked: Asked, view: View) -> bytes:
    """TRX alone; `{}` for an address that was never sent any."""
    address: Any = asked.fields.get("address")
    if address is None:
        return NOTHING
    try:
        raw = parse(str(address))
    except NotAnAddress:
        kind = "INVALID base58 String" if asked.visible else "INVALID hex String"
        raise JavaError(f"class org.tron.core.services.http.JsonFormat$ParseException : 1:13: {kind}") from None
    found = view.ledger.balance_sun(raw, view.last(asked.solid))
    if found is None:
        return NOTHING
    balance_sun, since = found
    said: dict[str, object] = {"address": to_hex(raw)}
    if balance_sun:
        said["balance"] = balance_sun
    return orjson.dumps(said | {"create_time": view.ledger.block(since).timestamp_ms})


def chain_parameters(_asked: Asked, _view: View) -> bytes:
    return orjson.dumps({"chainParameter": [{"key": key, "value": value} for key, value in PARAMETERS.items()]})


def constant_contract(asked: Asked, view: View) -> bytes:
    """`balanceOf` of the USDT contract; no other contract is there, and it has no other function."""
    try:
        contract = parse(str(asked.fields.get("contract_address", "")))
        data = _calldata(asked.fields)
    except (NotAnAddress, ValueError) as error:
        return _not_called("OTHER_ERROR", f"class java.lang.IllegalArgumentException : {error}", asked)
    if contract != view.ledger.usdt_contract:
        return _not_called("CONTRACT_VALIDATE_ERROR", "Smart contract is not exist.", asked)
    if not data.startswith(usdt.BALANCE_OF) or len(data) != len(usdt.BALANCE_OF) + usdt.WORD_BYTES:
        message = "REVERT opcode executed"
        said: dict[str, object] = {"result": True, "message": message if asked.visible else message.encode().hex()}
        return orjson.dumps({"result": said, "constant_result": [""], "transaction": {"ret": [{"ret": "FAILED"}]}})
    if view.fault(FaultKind.BALANCE_ABSENT) is not None:
        return orjson.dumps({"result": {"result": True}, "constant_result": []})
    balance = view.ledger.balance_micro_usdt(data[-20:], view.last(asked.solid))
    if (wrong := view.fault(FaultKind.BALANCE_WRONG)) is not None:
        balance = min(max(balance + wrong.asked.add_micro_usdt, 0), usdt.UINT256_MAX)
    return orjson.dumps(
        {
            "result": {"result": True},
            "energy_used": BALANCE_ENERGY,
            "constant_result": [usdt.word(balance).hex()],
            "transaction": {"ret": [{}], "visible": asked.visible},
        }
    )


ANSWERS: Final[dict[str, Callable[[Asked, View], bytes]]] = {
    "getnowblock": now_block,
    "getblockbynum": block_by_num,
    "gettransactioninfobyblocknum": infos_by_block_num,
    "gettransactioninfobyid": info_by_id,
    "getaccount": account,
    "getchainparameters": chain_parameters,
    "triggerconstantcontract": constant_contract,
}
# The other methods are there for the full node's view and for the solid one.
FULL_ONLY: Final = frozenset({"getchainparameters"})
# These read nothing but the query.
BODILESS: Final = frozenset({"getnowblock", "getchainparameters"})


def _block(height: int, asked: Asked, view: View) -> bytes:
    block = view.block(height, asked.solid)
    if block is None or view.fault(FaultKind.ABSENT) is not None:
        return NOTHING
    body = block.body
    if (missing := view.fault(FaultKind.TRANSACTIONS_MISSING)) is not None and block.transactions:
        body = block.body_without(len(block.transactions) - 1 if missing.asked.index is None else missing.asked.index)
    if view.fault(FaultKind.PARENT_WRONG) is not None:
        wrong = f"{height - 1:016x}{block.parent_id[:15:-1]}"
        body = body.replace(block.parent_id.encode(), wrong.encode(), 1)
    return body


def _infos_of_another(height: int, view: View) -> bytes:
    """Those of the nearest block below that holds something scripted, else of an unrelated one."""
    scripted = view.ledger.scripted_between(max(0, height - 1_000), height - 1)
    if scripted:
        return view.ledger.block(scripted[-1], view.twist).infos
    unrelated = filler.transactions(view.ledger.usdt_contract, height - 1, 1)
    return b"[%s]" % unrelated[0].info(height - 1, view.ledger.block(height - 1).timestamp_ms)


def _without_logs(told: bytes) -> bytes:
    decoded: Any = orjson.loads(told)
    infos = cast("list[dict[str, Any]]", decoded if isinstance(decoded, list) else [decoded])
    for info in infos:
        info.pop("log", None)
    return orjson.dumps(decoded)


def _calldata(fields: Mapping[str, Any]) -> bytes:
    if fields.get("data"):
        return bytes.fromhex(str(fields["data"]))
    selector = str(fields.get("function_selector", ""))
    return usdt.keccak256(selector.encode())[:4] + bytes.fromhex(str(fields.get("parameter", "")))


def _not_called(code: str, message: str, asked: Asked) -> bytes:
    return orjson.dumps({"result": {"code": code, "message": message if asked.visible else message.encode().hex()}})
