"""The one true chain: which transactions are in which block, on which branch; and who owns what.

Invariants: what is solid never changes; a transaction is stored before anyone hears of it, and its block is one that nobody has seen yet.
Used by one thread, which makes every call here atomic.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from tt_sandbox.chain import blocks, filler
from tt_sandbox.chain.addresses import ADDRESS_BYTES, parse
from tt_sandbox.chain.blocks import Block
from tt_sandbox.chain.scripts import Script, transaction
from tt_sandbox.chain.store import Row, Store
from tt_sandbox.chain.timeline import Timeline, TooMuch
from tt_sandbox.chain.transactions import Outcome, Transaction
from tt_sandbox.chain.usdt import UINT256_MAX, EventName

TRANSACTIONS_MAX: Final = 200_000
# A filled block takes about a megabyte.
CACHED_BLOCKS: Final = 64
CACHED_IDS: Final = 8_192
NOBODY: Final = bytes(ADDRESS_BYTES)


class Refused(Exception):
    """The chain can't do what it was asked."""


@dataclass(slots=True)
class Entry:
    """A scripted transaction and the block it is in or will be in; None once it was dropped."""

    sequence: int
    script: Script
    transaction: Transaction
    height: int | None
    usdt: tuple[tuple[bytes, bytes, int], ...]
    """From, to and amount of what USDT really moved."""

    def change_micro_usdt(self, address: bytes) -> int:
        """What the transaction adds to the balance of an address."""
        return sum(
            (amount if recipient == address else 0) - (amount if sender == address else 0)
            for sender, recipient, amount in self.usdt
        )


@dataclass(frozen=True, slots=True)
class Twist:
    """How a node's chain differs from the true one, from a height on."""

    fork_from: int | None = None
    """Other IDs, the same transactions."""
    twin_from: int | None = None
    """Other IDs, and the block at that height without its transactions."""


TRUE: Final = Twist()


class Ledger:
    """One chain in one store."""

    def __init__(self, store: Store, timeline: Timeline, *, usdt_contract: bytes, solid_lag: int) -> None:
        self.usdt_contract = usdt_contract
        self.solid_lag = solid_lag
        self._store = store
        self._timeline = timeline
        self._branches = store.branches()
        self._filled = store.filled()
        self._entries: list[Entry] = []
        self._at: dict[int, list[Entry]] = {}
        self._by_txid: dict[str, Entry] = {}
        self._by_address: dict[bytes, list[Entry]] = {}
        self._paid: set[bytes] = set()
        self._blocks: OrderedDict[tuple[int, str], Block] = OrderedDict()
        self._ids: OrderedDict[tuple[int, str], str] = OrderedDict()
        for row in store.rows():
            self._keep(self._entry(row))

    def head(self, now_ms: int) -> int:
        return self._timeline.head(now_ms)

    def add(self, script: Script, now_ms: int) -> Entry:
        """Puts a transaction into the next block. Raises Refused and TooMuch."""
        if len(self._entries) >= TRANSACTIONS_MAX:
            raise TooMuch(f"a sandbox chain takes {TRANSACTIONS_MAX} scripted transactions")
        height = self.head(now_ms) + 1
        text = self._completed(script).model_dump_json(by_alias=True, exclude_defaults=True)
        row = Row(len(self._entries) + 1, height, height, text)
        entry = self._entry(row)
        self._store.add_row(row)
        self._keep(entry)
        return entry

    def make_blocks(self, count: int, transactions: int, now_ms: int) -> int:
        """The next blocks, by command; the new head. Raises Refused where they come by time, and TooMuch."""
        if not self._timeline.by_command:
            raise Refused("blocks of this chain come by time; CHAIN_BLOCK_S=0 makes them come by command")
        filled = self._timeline.make(count, transactions, now_ms)
        if filled is not None:
            self._filled.append(filled)
        return self.head(now_ms)

    def reorganise(self, depth: int, move: bool, now_ms: int) -> list[Entry]:
        """Replaces the last `depth` blocks; their transactions, returned, are dropped or go into the next block. Raises Refused."""
        head = self.head(now_ms)
        if depth > self.solid_lag:
            raise Refused(f"what {self.solid_lag} later blocks have made solid never changes")
        first, new_height = head - depth + 1, head + 1 if move else None
        self._store.reorganise(first, head, new_height)
        self._branches.append(first)
        moved = [entry for height in range(first, head + 1) for entry in self._at.pop(height, ())]
        for entry in moved:
            entry.height = new_height
        if new_height is not None and moved:
            # In the order they were asked for, which is what the store gives after a restart.
            together = [*self._at.get(new_height, ()), *moved]
            self._at[new_height] = sorted(together, key=lambda entry: entry.sequence)
        return moved

    def entries(self) -> list[Entry]:
        """All scripted transactions, in the order they were asked for."""
        return self._entries

    def find(self, txid: str) -> Entry | None:
        return self._by_txid.get(txid)

    def find_filler(self, txid: str) -> Block | None:
        """The block of an unrelated transaction, if it was told not long ago."""
        return next((block for block in reversed(self._blocks.values()) if txid in block.by_txid), None)

    def scripted_between(self, first: int, last: int) -> list[int]:
        """Heights that hold scripted transactions."""
        if last - first < len(self._at):
            return [height for height in range(first, last + 1) if height in self._at]
        return sorted(height for height in self._at if first <= height <= last)

    def filled_between(self, first: int, last: int) -> set[int]:
        """Heights that hold unrelated transactions."""
        return {
            height
            for span in self._filled
            for height in range(max(first, span.first), min(last, span.first + span.count - 1) + 1)
        }

    def block(self, height: int, twist: Twist = TRUE) -> Block:
        """A block that is there; the caller has compared `height` with the head it believes in."""
        branch = self._branch(height, twist)
        cached = self._blocks.get((height, branch))
        if cached is not None:
            self._blocks.move_to_end((height, branch))
            return cached
        transactions = self._transactions(height, twist)
        parent = self.block_id(height - 1, twist) if height else blocks.NO_PARENT
        own_id = blocks.block_id(height, branch, transactions)
        block = Block(height, self._timeline.timestamp_ms(height), parent, own_id, transactions)
        self._remember_id(height, branch, own_id)
        if transactions:
            self._blocks[height, branch] = block
            if len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return block

    def block_id(self, height: int, twist: Twist = TRUE) -> str:
        """The ID of a block that is there."""
        branch = self._branch(height, twist)
        known = self._ids.get((height, branch))
        if known is None:
            known = blocks.block_id(height, branch, self._transactions(height, twist))
            self._remember_id(height, branch, known)
        return known

    def balance_micro_usdt(self, address: bytes, height: int | None = None) -> int:
        """What `address` holds once block `height` is executed (None: with all that is waiting too)."""
        balance = 0
        for entry in self._by_address.get(address, ()):
            if entry.height is None or (height is not None and entry.height > height):
                continue
            balance += entry.change_micro_usdt(address)
        return min(max(balance, 0), UINT256_MAX)

    def balance_sun(self, address: bytes, height: int) -> tuple[int, int] | None:
        """TRX in sun and the height of the block that activated the account; None where it is not activated."""
        balance, since = 0, None
        for entry in self._by_address.get(address, ()):
            script = entry.script
            if entry.height is None or entry.height > height or script.amount_sun is None or script.to is None:
                continue
            if parse(script.to) == address:
                balance += script.amount_sun
                since = entry.height if since is None else min(since, entry.height)
            if script.payer == address:
                balance -= script.amount_sun
        return None if since is None else (max(balance, 0), since)

    def _completed(self, script: Script) -> Script:
        """With the amount that DestroyedBlackFunds destroys. Raises Refused for what a payer that was paid before does not have."""
        if script.event is EventName.DESTROYED_BLACK_FUNDS and script.address is not None:
            return script.model_copy(update={"amount_micro_usdt": self.balance_micro_usdt(parse(script.address))})
        needed: dict[bytes, int] = {}
        for payer, _, amount in _moved(script):
            needed[payer] = needed.get(payer, 0) + amount
        for payer, amount in needed.items():
            if payer in self._paid and self.balance_micro_usdt(payer) < amount:
                raise Refused(f"the payer has {self.balance_micro_usdt(payer)} micro-USDT, not {amount}")
        return script

    def _entry(self, row: Row) -> Entry:
        script = Script.model_validate_json(row.script)
        made = transaction(script, self.usdt_contract, row.made_height, row.sequence)
        return Entry(row.sequence, script, made, row.height, _moved(script))

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._by_txid[entry.transaction.txid] = entry
        if entry.height is not None:
            self._at.setdefault(entry.height, []).append(entry)
        self._paid |= {recipient for _, recipient, amount in entry.usdt if amount}
        for address in _touched(entry):
            self._by_address.setdefault(address, []).append(entry)

    def _transactions(self, height: int, twist: Twist) -> tuple[Transaction, ...]:
        scripted = [] if height == twist.twin_from else [entry.transaction for entry in self._at.get(height, ())]
        count = self._filler_count(height)
        if not count:
            return tuple(scripted)
        cached = self._blocks.get((height, self._branch(height, TRUE)))
        made = list(cached.transactions[:count]) if cached else filler.transactions(self.usdt_contract, height, count)
        return (*made, *scripted)

    def _filler_count(self, height: int) -> int:
        return next(
            (span.transactions for span in reversed(self._filled) if span.first <= height < span.first + span.count), 0
        )

    def _branch(self, height: int, twist: Twist) -> str:
        true = max((number for number, first in enumerate(self._branches, 1) if first <= height), default=0)
        fork = twist.fork_from is not None and height >= twist.fork_from
        twin = twist.twin_from is not None and height >= twist.twin_from
        return f"{true}{f' fork {twist.fork_from}' if fork else ''}{f' twin {twist.twin_from}' if twin else ''}"

    def _remember_id(self, height: int, branch: str, own_id: str) -> None:
        self._ids[height, branch] = own_id
        if len(self._ids) > CACHED_IDS:
            self._ids.popitem(last=False)


def _moved(script: Script) -> tuple[tuple[bytes, bytes, int], ...]:
    if script.contract != "usdt" or script.outcome is not Outcome.SUCCESS:
        return ()
    if script.event is EventName.DESTROYED_BLACK_FUNDS and script.address is not None:
        return ((parse(script.address), NOBODY, script.amount_micro_usdt or 0),)
    return tuple(script.movements())


def _touched(entry: Entry) -> set[bytes]:
    ends = {end for sender, recipient, _ in entry.usdt for end in (sender, recipient)}
    if entry.script.amount_sun is not None and entry.script.to is not None:
        ends |= {entry.script.payer, parse(entry.script.to)}
    return ends
