"""Wallet, grants and settlement against a model that keeps one number a thing: any order of events, and the sums agree."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.unit.billing.events import usage_event
from tt_billing.domain.adjustments import adjust
from tt_billing.domain.book import Book, Wallet
from tt_billing.domain.grants import GrantTerms, Refusal, change_grant, end_grant, lose_grant, shrink_grant
from tt_billing.domain.settlement import settle_event
from tt_common.contracts.grants import ChangeGrant, GrantReply, KeyTerms, ShrinkGrant, Slices
from tt_common.contracts.wallets import AdjustWallet
from tt_common.errors import DomainError

ACCOUNT = "acc_1"
TERMS = GrantTerms(soft_ttl_s=30, hard_ttl_s=90)
LIMITS = {"requests_per_minute": 20, "tokens_per_minute": 1000, "concurrency": 3}


@dataclass
class EdgeGrant:
    """What an edge knows of its grant: it never reserves or spends beyond what was granted and not given back."""

    revision: int = 1
    granted: int = 0
    back: int = 0
    spent: int = 0
    unsent: list[int] = field(default_factory=list[int])
    events: int = 0
    window: int = 0
    requests: int = 0
    back_requests: int = 0
    shrinks: list[ShrinkGrant] = field(default_factory=list[ShrinkGrant])
    closed: bool = False

    @property
    def free(self) -> int:
        return self.granted - self.back - self.spent


class BookMachine(RuleBasedStateMachine):
    """The model: money put in, money spent."""

    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.book = Book(1_700_000_000_000, 0)
        self.book.wallets[ACCOUNT] = Wallet(account_id=ACCOUNT)
        self.put_in = 0
        self.charged = 0
        self.edges: dict[str, EdgeGrant] = {}
        self.numbers = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    @rule(amount=st.integers(1, 10_000))
    def top_up(self, amount: int) -> None:
        request = AdjustWallet(
            request_id=str(self.number()), account_id=ACCOUNT, amount_nanousd=amount, reason="", actor=""
        )
        adjust(self.book, request)
        self.put_in += amount

    def change(self, name: str, edge: EdgeGrant, need: int, want: int, requests: int) -> bool:
        wallet = self.book.wallets[ACCOUNT]
        free_before, transfers_before = wallet.available_nanousd, len(self.book.transfers)
        request = ChangeGrant(
            grant_id=name,
            revision=edge.revision,
            key=KeyTerms(key_id="key_1", account_id=ACCOUNT, revision=1, **LIMITS),
            edge_id="e",
            boot_epoch="b",
            need_nanousd=need,
            need=Slices(requests=requests),
            want_nanousd=want,
            want=Slices(requests=requests * 3),
        )
        reply = change_grant(self.book, request, TERMS)
        if isinstance(reply, Refusal):
            assert len(self.book.transfers) == transfers_before
            assert reply.shortage == "requests" or need > free_before
            return False
        assert isinstance(reply, GrantReply)
        assert change_grant(self.book, request, TERMS) == reply  # a retry changes nothing
        assert reply.granted_nanousd >= edge.granted + need
        if reply.window != edge.window:
            edge.window, edge.requests, edge.back_requests = reply.window, 0, 0
        edge.granted, edge.requests = reply.granted_nanousd, max(edge.requests, reply.slices.requests)
        return True

    @rule(target=grants, need=st.integers(0, 3000), want=st.integers(0, 5000), requests=st.integers(0, 3))
    def open(self, need: int, want: int, requests: int) -> str:
        name, edge = f"g{self.number()}", EdgeGrant()
        if self.change(name, edge, need, want, requests):
            self.edges[name] = edge
        return name

    @rule(name=grants, need=st.integers(0, 3000), want=st.integers(0, 5000), requests=st.integers(0, 3))
    def extend(self, name: str, need: int, want: int, requests: int) -> None:
        edge = self.edges.get(name)
        if edge is None or edge.closed:
            return
        edge.revision += 1
        if not self.change(name, edge, need, want, requests):
            edge.revision -= 1

    @rule(name=grants, share=st.floats(0, 1))
    def spend(self, name: str, share: float) -> None:
        edge = self.edges.get(name)
        if edge is not None and not edge.closed:
            cost = int(edge.free * share)
            edge.spent += cost
            edge.events += 1
            edge.unsent.append(cost)

    @rule(name=grants, data=st.data())
    def settle(self, name: str, data: st.DataObject) -> None:
        edge = self.edges.get(name)
        if edge is None or not edge.unsent:
            return
        cost = edge.unsent.pop(data.draw(st.integers(0, len(edge.unsent) - 1)))
        charged, _ = settle_event(self.book, usage_event(cost, name))
        assert charged == cost
        self.charged += cost

    @rule(name=grants, share=st.floats(0, 1), requests=st.integers(0, 3), arrives=st.booleans())
    def shrink(self, name: str, share: float, requests: int, arrives: bool) -> None:
        edge = self.edges.get(name)
        if edge is not None and not edge.closed:
            edge.back += int(edge.free * share)
            edge.back_requests += min(requests, edge.requests - edge.back_requests)
            self.give_back(name, edge, None, arrives)

    @rule(name=grants, arrives=st.booleans())
    def close(self, name: str, arrives: bool) -> None:
        edge = self.edges.get(name)
        if edge is not None and not edge.closed:
            edge.closed = True
            edge.back += edge.free
            self.give_back(name, edge, edge.events, arrives)

    def give_back(self, name: str, edge: EdgeGrant, final: int | None, arrives: bool) -> None:
        shrink = ShrinkGrant(
            grant_id=name,
            account_id=ACCOUNT,
            key_id="key_1",
            given_back_nanousd=edge.back,
            window=edge.window,
            given_back=Slices(requests=edge.back_requests),
            requests_seen=edge.requests,
            final_events=final,
        )
        edge.shrinks.append(shrink)
        if arrives:
            self.take(shrink)

    @rule(name=grants, data=st.data())
    def deliver(self, name: str, data: st.DataObject) -> None:
        """Any shrink that was ever made arrives: late, again, or after a later one."""
        edge = self.edges.get(name)
        if edge is not None and edge.shrinks:
            self.take(data.draw(st.sampled_from(edge.shrinks)))

    def take(self, shrink: ShrinkGrant) -> None:
        changed = shrink_grant(self.book, shrink, TERMS)
        before = self.state_of(shrink.grant_id)
        shrink_grant(self.book, shrink, TERMS)
        assert self.state_of(shrink.grant_id) == before  # a second time changes nothing
        assert changed or self.book.grants[shrink.grant_id].state == "ended"

    def state_of(self, name: str) -> object:
        things = (self.book.grants[name], self.book.wallets[ACCOUNT], self.book.windows["key_1"])
        return [msgspec.structs.asdict(thing) for thing in things], len(self.book.transfers)

    @rule(final=st.integers(0, 3), need=st.integers(0, 3000))
    def close_before_open(self, final: int, need: int) -> None:
        """An edge gave up an opening that is still on its way."""
        name, edge = f"g{self.number()}", EdgeGrant()
        shrink = ShrinkGrant(
            grant_id=name, account_id=ACCOUNT, key_id="key_1", given_back_nanousd=0, final_events=final
        )
        assert shrink_grant(self.book, shrink, TERMS)
        assert not shrink_grant(self.book, shrink, TERMS)
        with pytest.raises(DomainError, match="grant_ended"):
            self.change(name, edge, need, 0, 0)
        assert (self.book.grants[name].state, self.book.grants[name].granted_nanousd) == ("ended", 0)

    @rule(name=grants)
    def lose(self, name: str) -> None:
        grant = self.book.grants.get(name)
        if grant is not None and grant.state in ("open", "closing"):
            lose_grant(self.book, grant, 0)

    @rule(name=consumes(grants))
    def end(self, name: str) -> None:
        """The edge died: what it had spent still arrives later, through `late`."""
        grant, edge = self.book.grants.get(name), self.edges.get(name)
        if grant is None or edge is None:
            return
        edge.closed = True
        end_grant(self.book, grant)
        while edge.unsent:
            cost = edge.unsent.pop()
            settle_event(self.book, usage_event(cost, name))
            self.charged += cost

    @rule(cost=st.integers(0, 500))
    def late(self, cost: int) -> None:
        settle_event(self.book, usage_event(cost, "unknown"))
        self.charged += cost

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.book.booked_at_ms += seconds * 1000

    @invariant()
    def money_is_conserved(self) -> None:
        wallet = self.book.wallets[ACCOUNT]
        assert wallet.available_nanousd + wallet.held_nanousd == self.put_in - self.charged
        assert wallet.held_nanousd == sum(grant.held_nanousd for grant in self.book.grants.values())
        assert all(grant.held_nanousd >= 0 for grant in self.book.grants.values())

    @invariant()
    def what_an_edge_may_spend_is_covered(self) -> None:
        for name, edge in self.edges.items():
            grant = self.book.grants[name]
            if grant.state != "ended":
                assert grant.granted_nanousd == edge.granted
                assert grant.back_nanousd <= edge.back
                assert grant.held_nanousd == edge.free + (edge.back - grant.back_nanousd) + sum(edge.unsent)

    @invariant()
    def the_log_gives_the_projections(self) -> None:
        balances = {"available": 0, "held": 0, "revenue": 0, "adjustments": 0}
        for transfer in self.book.transfers:
            balances[transfer.debit] -= transfer.amount_nanousd
            balances[transfer.credit] += transfer.amount_nanousd
        wallet = self.book.wallets[ACCOUNT]
        assert sum(balances.values()) == 0
        assert (balances["available"], balances["held"]) == (wallet.available_nanousd, wallet.held_nanousd)
        assert balances["revenue"] == self.charged
        month = self.book.key_month("key_1", self.book.month)
        assert (month.spent_nanousd, month.held_nanousd) == (self.charged, wallet.held_nanousd)
        causes = [(transfer.source, transfer.source_id, transfer.leg) for transfer in self.book.transfers]
        assert len(causes) == len(set(causes))

    @invariant()
    def slices_never_exceed_the_limit(self) -> None:
        window = self.book.windows.get("key_1")
        if window is None:
            return
        in_hand = sum(g.slice_requests for g in self.book.grants.values() if g.slice_window == window.window)
        assert in_hand <= window.requests_out <= LIMITS["requests_per_minute"]
        assert window.concurrency_out >= 0
        for name, edge in self.edges.items():
            grant = self.book.grants[name]
            if edge.window == grant.slice_window == window.window:
                assert grant.slice_requests >= edge.requests - edge.back_requests >= 0


TestBook = BookMachine.TestCase
TestBook.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
