"""The root that proves a block's transactions complete, against protobuf's own library and java-tron's own steps."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.deposits.tron_wire import CODES, RESULTS, root_of
from tt_deposits.domain.node_answers import Transaction
from tt_deposits.domain.transactions_root import NO_TRANSACTIONS, transactions_root

RETS = st.fixed_dictionaries(
    {},
    optional={
        "fee": st.integers(1, 2**63 - 1),
        "ret": st.sampled_from(CODES),
        "contractRet": st.sampled_from(RESULTS),
    },
)


def told(raw: bytes, signatures: list[bytes], ret: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "txID": sha256(raw).hexdigest(),
        "raw_data": {"contract": []},
        "raw_data_hex": raw.hex(),
        "signature": [signature.hex() for signature in signatures],
        "ret": ret,
    }


TOLD = st.builds(
    told,
    # Lengths around a second and a third byte of their length.
    st.one_of(st.binary(min_size=1, max_size=300), st.integers(16_380, 16_390).map(bytes)),
    st.lists(st.binary(min_size=65, max_size=65), max_size=3),
    st.lists(RETS, max_size=2),
)


def read(transactions: list[dict[str, Any]]) -> list[Transaction]:
    return msgspec.json.decode(msgspec.json.encode(transactions), type=list[Transaction])


@given(st.lists(TOLD, max_size=9))
def test_it_is_what_protobuf_and_java_trons_steps_make(transactions: list[dict[str, Any]]) -> None:
    assert transactions_root(read(transactions)).hex() == root_of(transactions)


@pytest.mark.parametrize("count", range(1, 18))
def test_nothing_can_be_left_out_wherever_it_stands(count: int) -> None:
    whole = read([told(b"%d" % number, [b"s" * 65], [{"contractRet": "SUCCESS"}]) for number in range(count)])
    roots = {transactions_root(whole[:at] + whole[at + 1 :]) for at in range(count)}
    assert transactions_root(whole) not in roots
    assert (NO_TRANSACTIONS in roots) == (count == 1)


def test_the_outcome_belongs_to_it() -> None:
    good, bad = (read([told(b"a", [], [{"contractRet": result}])]) for result in ("SUCCESS", "REVERT"))
    assert transactions_root(good) != transactions_root(bad)


@pytest.mark.parametrize(
    "change",
    [
        {"txID": "ab" * 32},
        {"raw_data_hex": "zz"},
        {"signature": ["0"]},
        {"ret": [{"contractRet": "SOMETHING_NEW"}]},
        {"ret": [{"ret": "SOMETHING_NEW"}]},
        {"ret": [{"fee": -1}]},
    ],
)
def test_what_cannot_be_worked_out_is_said(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        transactions_root(read([told(b"a", [], []) | change]))
