"""The oracle for a block's root: transactions in protobuf by the library, joined by java-tron's own steps."""

from hashlib import sha256
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# contractRet of core/Tron.proto, by number.
RESULTS = (
    "DEFAULT SUCCESS REVERT BAD_JUMP_DESTINATION OUT_OF_MEMORY PRECOMPILED_CONTRACT STACK_TOO_SMALL STACK_TOO_LARGE ILLEGAL_OPERATION"
    " STACK_OVERFLOW OUT_OF_ENERGY OUT_OF_TIME JVM_STACK_OVER_FLOW UNKNOWN TRANSFER_FAILED INVALID_CODE"
).split()
CODES = ("SUCESS", "FAILED")
_FIELD = descriptor_pb2.FieldDescriptorProto


def _transaction_class() -> Any:
    """As much of Transaction as a root is made of; enums are numbers on the wire, and raw data is bytes already."""
    file = descriptor_pb2.FileDescriptorProto(name="tron.proto", package="tron", syntax="proto3")
    result = file.message_type.add(name="Result")
    for number, name in enumerate(("fee", "ret", "contractRet"), 1):
        result.field.add(name=name, number=number, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_OPTIONAL)
    transaction = file.message_type.add(name="Transaction")
    transaction.field.add(name="raw_data", number=1, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_OPTIONAL)
    transaction.field.add(name="signature", number=2, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED)
    transaction.field.add(
        name="ret", number=5, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED, type_name=".tron.Result"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tron.Transaction"))


_Transaction = _transaction_class()


def leaf(told: dict[str, Any]) -> bytes:
    """Of a transaction as a node tells it in JSON."""
    wire = _Transaction(
        raw_data=bytes.fromhex(told["raw_data_hex"]), signature=[bytes.fromhex(one) for one in told["signature"]]
    )
    for outcome in told["ret"]:
        wire.ret.add(
            fee=outcome.get("fee", 0),
            ret=CODES.index(outcome.get("ret", "SUCESS")),
            contractRet=RESULTS.index(outcome.get("contractRet", "DEFAULT")),
        )
    return sha256(wire.SerializeToString()).digest()


def root_of(told: list[dict[str, Any]]) -> str:
    """64 hex digits. Pairs from the left, the last one alone as it is, until one is left."""
    hashes = [leaf(one) for one in told] or [bytes(32)]
    while len(hashes) > 1:
        pairs = [hashes[at : at + 2] for at in range(0, len(hashes), 2)]
        hashes = [sha256(b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return hashes[0].hex()
