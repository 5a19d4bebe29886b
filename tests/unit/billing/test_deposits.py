"""Which deposits are booked: sound events only, each entry once, and no entry that contradicts another."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.billing.deposit_events import confirmed
from tt_billing.domain.book import Book, Transfer, Wallet
from tt_billing.domain.deposits import ConflictingDeposit, OtherNetwork, TooEarly, book_deposit, decode_deposit
from tt_billing.domain.intake import INTEGER_MAX, PoisonEvent
from tt_common.contracts.deposit_events import DepositBooked, DepositConfirmed, Entry

ACCOUNTS = ("acc_1", "acc_2", "house")


class Desk:
    """A book and what is known of it, as one transaction after the other sees them."""

    def __init__(self) -> None:
        self.book = Book(1_767_268_900_000, 0)
        for account_id in ACCOUNTS:
            self.book.wallets[account_id] = Wallet(account_id=account_id)
        self.known: dict[str, Transfer] = {}

    def ask(self, event: DepositConfirmed, network: str = "mainnet") -> str:
        before = len(self.book.transfers), len(self.book.events)
        try:
            new = book_deposit(self.book, event, self.known, network)
        except (ConflictingDeposit, OtherNetwork, TooEarly) as refusal:
            assert (len(self.book.transfers), len(self.book.events)) == before
            return type(refusal).__name__
        assert len(self.book.events) == before[1] + 1
        return "booked" if new else "again"

    def answer(self) -> DepositBooked:
        event = self.book.events[-1]
        assert isinstance(event, DepositBooked)
        return event

    def balance(self, bucket: str) -> int:
        return sum(t.amount_nanousd * ((t.credit == bucket) - (t.debit == bucket)) for t in self.book.transfers)


def test_a_credit_moves_what_arrived_from_receipts_to_the_wallet_and_says_where_it_came_from() -> None:
    desk = Desk()
    event = confirmed(micro_usdt=7_000_001)
    assert desk.ask(event) == "booked"

    (transfer,) = desk.book.transfers
    assert (transfer.kind, transfer.debit, transfer.credit) == ("deposit_credited", "receipts", "available")
    assert (transfer.amount_nanousd, transfer.occurred_at_ms) == (7_000_001_000, event.transfer.block_time_ms)
    assert transfer.details["txid"] == event.transfer.txid
    assert transfer.details["amount_micro_usdt"] == 7_000_001
    assert desk.answer().available_nanousd == desk.book.wallets["acc_1"].available_nanousd == 7_000_001_000
    assert desk.answer().transaction_id == str(transfer.transaction_id)


def test_an_entry_that_is_asked_for_again_gets_the_same_answer_whatever_the_wallet_has_now() -> None:
    desk = Desk()
    desk.ask(confirmed())
    first = desk.answer()
    desk.ask(confirmed("dep_2"))
    assert desk.ask(confirmed(actor="another", reason="decided again", confirmed_at_ms=1)) == "again"
    assert desk.answer() == first


def test_suspense_is_assigned_once_and_only_once_it_is_there() -> None:
    desk = Desk()
    assert desk.ask(confirmed(entry="assign")) == "TooEarly"
    assert desk.ask(confirmed(entry="suspend")) == "booked"
    assert (desk.balance("suspense"), desk.answer().available_nanousd) == (25_000_000_000, 0)
    assert desk.ask(confirmed(entry="assign", account_id="acc_2", actor="op")) == "booked"
    assert desk.ask(confirmed(entry="assign", account_id="acc_2")) == "again"
    assert desk.ask(confirmed(entry="assign", account_id="acc_1")) == "ConflictingDeposit"
    assert desk.balance("suspense") == 0
    assert desk.book.wallets["acc_2"].available_nanousd == 25_000_000_000
    assert desk.book.transfers[-1].details["actor"] == "op"


OTHER_TRANSFER = confirmed("dep_other").transfer


@pytest.mark.parametrize(
    "event",
    [
        confirmed(entry="suspend"),
        confirmed(entry="assign"),
        confirmed(account_id="acc_2"),
        confirmed(micro_usdt=25_000_001),
        confirmed(transfer=OTHER_TRANSFER),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, log_index=1)),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, network="nile")),
    ],
    ids=["suspend", "assign", "account", "amount", "txid", "log index", "network"],
)
def test_what_contradicts_a_credit_is_refused_and_moves_nothing(event: DepositConfirmed) -> None:
    desk = Desk()
    desk.ask(confirmed())
    assert desk.ask(event, event.transfer.network) == "ConflictingDeposit"
    assert desk.balance("available") == 25_000_000_000


@pytest.mark.parametrize("network", ["nile", "shasta", "sandbox"])
@pytest.mark.parametrize("entry", ["credit", "suspend", "assign"])
def test_coins_of_another_chain_are_no_money(network: str, entry: Entry) -> None:
    desk = Desk()
    transfer = msgspec.structs.replace(confirmed().transfer, network=network)
    assert desk.ask(confirmed(entry=entry, transfer=transfer)) == "OtherNetwork"
    assert desk.known == {}


def test_more_than_a_wallet_can_hold_is_refused_instead_of_failing_for_ever() -> None:
    desk = Desk()
    largest = INTEGER_MAX // 1000
    assert desk.ask(confirmed("a", micro_usdt=largest)) == "booked"
    assert desk.ask(confirmed("b", micro_usdt=largest)) == "ConflictingDeposit"


ASKED = st.builds(
    confirmed,
    st.sampled_from(("dep_1", "dep_2", "dep_3")),
    st.sampled_from(("credit", "suspend", "assign")),
    st.sampled_from((1, 2)),
    account_id=st.sampled_from((None, "acc_2")),
)


@given(st.lists(ASKED, max_size=30))
def test_any_order_with_any_repetition_books_each_deposit_once(events: list[DepositConfirmed]) -> None:
    """The model: per deposit, what came in and where it is now."""
    desk = Desk()
    entered: dict[str, tuple[Entry, str, int]] = {}
    assigned: dict[str, str] = {}
    for event in events:
        name, amount = event.deposit_id, event.amount_nanousd
        if event.entry == "assign":
            if name not in entered:
                expected = "TooEarly"
            elif entered[name][0] == "credit" or entered[name][2] != amount:
                expected = "ConflictingDeposit"
            elif name not in assigned:
                expected, assigned[name] = "booked", event.account_id
            else:
                expected = "again" if assigned[name] == event.account_id else "ConflictingDeposit"
        elif event.entry == "suspend" and event.account_id != "house":
            continue  # refused when it is decoded
        else:
            wanted = (event.entry, event.account_id, amount)
            expected = "booked" if name not in entered else "again" if entered[name] == wanted else "ConflictingDeposit"
            entered.setdefault(name, wanted)
        assert desk.ask(event) == expected

    wallets: Counter[str] = Counter()
    for name, (entry, account_id, amount) in entered.items():
        if entry == "credit":
            wallets[account_id] += amount
        elif name in assigned:
            wallets[assigned[name]] += amount
    assert {n: w.available_nanousd for n, w in desk.book.wallets.items()} == {n: wallets[n] for n in ACCOUNTS}
    arrived = sum(amount for _, _, amount in entered.values())
    assert desk.balance("receipts") == -arrived
    assert desk.balance("suspense") == arrived - wallets.total()


def test_an_event_is_read_back_as_it_was_written() -> None:
    for entry in ("credit", "suspend", "assign"):
        assert decode_deposit(msgspec.json.encode(confirmed(entry=entry))) == confirmed(entry=entry)


@pytest.mark.parametrize(
    "event",
    [
        confirmed(amount_nanousd=25_000_000_001),
        confirmed(micro_usdt=0),
        confirmed(micro_usdt=-1),
        confirmed(micro_usdt=2**63),
        confirmed(account_id="house"),
        confirmed(entry="suspend", account_id="acc_1"),
        confirmed(entry="assign", account_id="house"),
        confirmed(account_id="acc.*"),
        confirmed(deposit_id="dep_1:assigned"),
        confirmed(id=""),
        confirmed(reason="a\x00b"),
        confirmed(reason="x" * 2001),
        confirmed(confirmed_at_ms=2**60),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, txid="F" * 64)),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, log_index=-1)),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, to_address="")),
        confirmed(transfer=msgspec.structs.replace(confirmed().transfer, network="Main Net")),
    ],
)
def test_what_can_not_be_booked_is_poison(event: DepositConfirmed) -> None:
    with pytest.raises(PoisonEvent):
        decode_deposit(msgspec.json.encode(event))


@pytest.mark.parametrize(
    ("name", "value"), [("amount_nanousd", "25000000000"), ("amount_nanousd", 2.5e10), ("entry", "give")]
)
def test_numbers_as_text_or_fractions_and_unknown_entries_are_poison(name: str, value: object) -> None:
    fields = msgspec.to_builtins(confirmed()) | {name: value}
    with pytest.raises(PoisonEvent):
        decode_deposit(msgspec.json.encode(fields))


@given(st.binary(max_size=200))
def test_any_bytes_are_poison_and_never_an_error(payload: bytes) -> None:
    with pytest.raises(PoisonEvent):
        decode_deposit(payload)
