"""`make deposit AMOUNT=25`: sends test USDT on the sandbox chain to an account's address, and tells what becomes of it.

Talks to the running stack as a customer's wallet would (the chain) and as the console does (deposits, billing). Never on a real chain.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import argparse
import asyncio
import hashlib
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec
import nats.js.errors
from nats.aio.client import Client

from tt_common.bus.connection import connect
from tt_common.bus.rpc import call
from tt_common.contracts.deposit_events import NANOUSD_PER_MICRO_USDT
from tt_common.contracts.deposits import (
    ADDRESS_GET,
    CONFIRMATIONS_REQUIRED,
    RECORD_LIST,
    AddressState,
    DepositRecord,
    DepositState,
    GetAddress,
    ListRecords,
    RecordPage,
)
from tt_common.contracts.nats_users import ADMIN
from tt_common.contracts.records import KeyRecord
from tt_common.contracts.streams import IDENTITY, KEYS, identity_subject
from tt_common.contracts.wallets import WALLET_GET, GetWallet, WalletState
from tt_common.errors import DomainError, Unavailable
from tt_common.money import format_usd
from tt_sandbox.stack.deposit_settings import SANDBOX_NETWORK
from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.nats_server import nats_url
from tt_sandbox.stack.ports import HOST
from tt_sandbox.stack.process import read_pid_file
from tt_sandbox.stack.settings import StackSettings

MICRO_USDT_PER_USDT: Final = 1_000_000
AMOUNT: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)
ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
RPC_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.2
READY_S: Final = 15.0
"""The first addresses of a fresh stack are ready within this time."""
STUCK_S: Final = 60.0
"""Without anything new for so long, it gives up waiting; the deposit goes on without it."""

ENDS: Final[dict[DepositState, str]] = {
    "credited": "credited",
    "below_minimum": "below the minimum: it waits until the address has got as much",
    "under_review": "above the limit: it waits for an operator's release",
    "suspense": "in suspense: an operator decides whose it is",
    "orphaned": "gone: its block was replaced",
}


class Problem(Exception):
    """Why it can't be done, in a line."""


@dataclass(frozen=True)
class Target:
    """Where to send, and what there was before."""

    address: AddressState
    balance_nanousd: int


def main() -> int:
    """The command; its exit status is 0 where the deposit came to its end."""
    parser = argparse.ArgumentParser(prog="make deposit", description=__doc__)
    parser.add_argument("amount", nargs="?", default="", help="USDT, such as 25 or 0.5")
    parser.add_argument("--account", help="whose address; the demo account's without it")
    arguments = parser.parse_args()
    folder = DataFolder(StackSettings().data_dir.resolve())
    try:
        amount_micro_usdt = parse_usdt(arguments.amount)
        if read_pid_file(folder.pid("nats")) is None:
            raise Problem("the stack does not run (make up starts it)")
        ports: dict[str, int] = json.loads((folder.run / "ports.json").read_text())
        url = nats_url(folder.nats_passwords()[ADMIN.name], ports["nats"], ADMIN.name)
        chain_url = f"http://{HOST}:{ports['chain']}"
        demo_key = folder.demo_key.read_text().strip() if folder.demo_key.exists() else ""
        asyncio.run(deposit(url, chain_url, demo_key, amount_micro_usdt, arguments.account))
    except (Problem, DomainError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe deposit goes on without being watched.")
        return 1
    return 0


def parse_usdt(text: str) -> int:
    """Decimal USDT as micro-USDT. Raises Problem for anything else, also for nothing and for more than six decimals."""
    match = AMOUNT.fullmatch(text.strip())
    if match is None:
        raise Problem("say how much: AMOUNT=25, at most 6 decimals")
    amount = int(match[1]) * MICRO_USDT_PER_USDT + int((match[2] or "").ljust(6, "0"))
    if amount == 0:
        raise Problem("an AMOUNT of 0 is no deposit")
    return amount


def format_usdt(micro_usdt: int) -> str:
    """Micro-USDT as decimal USDT, without zeros at the end."""
    return format_usd(micro_usdt * NANOUSD_PER_MICRO_USDT, decimals_min=0)


async def deposit(
    bus_url: str, chain_url: str, demo_key: str, amount_micro_usdt: int, account_id: str | None = None
) -> DepositRecord:
    """Sends to the account's address (without one: to that of `demo_key`) and waits for the end. Raises Problem, DomainError."""
    nc = await connect(bus_url, "tt-deposit")
    try:
        account = await _demo_account(nc, demo_key) if account_id is None else await _known(nc, account_id)
        target = await _target(nc, account)
        txid = await _send(chain_url, target.address.address, amount_micro_usdt)
        print(f"{format_usdt(amount_micro_usdt)} USDT sent to {target.address.address} of {account}")
        print(f"transaction {txid}")
        record = await _watch(nc, account, txid)
        wallet = await call(nc, WALLET_GET, GetWallet(account_id=account), WalletState, RPC_TIMEOUT_S)
        if record.state == "credited":
            print(f"ledger transaction {record.transaction_id}")
        before, after = target.balance_nanousd, wallet.available_nanousd + wallet.held_nanousd
        print(f"balance ${format_usd(before)} -> ${format_usd(after)}")
        return record
    finally:
        await nc.close()


async def _demo_account(nc: Client, demo_key: str) -> str:
    """The account of the demo key, from the record that the edges know the key by."""
    if not demo_key:
        raise Problem("there is no demo account yet (make up makes it); name another with ACCOUNT=acc_...")
    key_hash = hashlib.sha256(demo_key.encode()).hexdigest()
    try:
        found = await nc.jetstream().get_last_msg(KEYS.stream, KEYS.subject(key_hash), direct=True)
    except nats.js.errors.NotFoundError:
        raise Problem("the demo key is not known any more (make up renews it)") from None
    return msgspec.json.decode(found.data or b"", type=KeyRecord).account_id


async def _known(nc: Client, account_id: str) -> str:
    """An address is for ever, so none is given to a slip of the pen. Raises Problem."""
    unknown = Problem(f"there is no account {account_id}: a sign-up at the console makes one")
    if ACCOUNT.fullmatch(account_id) is None:
        raise unknown
    try:
        await nc.jetstream().get_last_msg(IDENTITY.name, identity_subject("account_created", account_id))
    except nats.js.errors.NotFoundError:
        raise unknown from None
    return account_id


async def _target(nc: Client, account_id: str) -> Target:
    """Waits where a fresh stack has not checked its first addresses yet."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            address = await call(nc, ADDRESS_GET, GetAddress(account_id=account_id), AddressState, RPC_TIMEOUT_S)
            break
        except DomainError as error:
            if error.code not in ("deposits_unavailable", "unavailable") or time.monotonic() > deadline:
                raise
            await asyncio.sleep(POLL_S)
    if address.network != SANDBOX_NETWORK:
        raise Problem(f"this stack watches {address.network}: send real USDT (TRC-20) to {address.address}")
    wallet = await call(nc, WALLET_GET, GetWallet(account_id=account_id), WalletState, RPC_TIMEOUT_S)
    return Target(address, wallet.available_nanousd + wallet.held_nanousd)


async def _send(chain_url: str, address: str, amount_micro_usdt: int) -> str:
    """The transaction's id. Raises Problem."""
    async with httpx.AsyncClient(base_url=chain_url, trust_env=False) as chain:
        try:
            transfer = {"to": address, "amount_micro_usdt": amount_micro_usdt}
            answer = (await chain.post("/sandbox/transfers", json=transfer)).raise_for_status()
        except httpx.HTTPError as error:
            raise Problem(f"the sandbox chain does not take it: {error}") from error
    return answer.json()["txid"]


async def _watch(nc: Client, account_id: str, txid: str) -> DepositRecord:
    """Says what is new until the deposit is at its end. Raises Problem when nothing is new for long."""
    seen, deadline = "", time.monotonic() + STUCK_S
    while True:
        record = await _record(nc, account_id, txid)
        now = "" if record is None else _progress(record)
        if now != seen:
            print(now, flush=True)
            seen, deadline = now, time.monotonic() + STUCK_S
        if record is not None and record.state in ENDS:
            return record
        if time.monotonic() > deadline:
            raise Problem("nothing new for a minute: see make status and make logs; it is credited when all runs again")
        await asyncio.sleep(POLL_S)


def _progress(record: DepositRecord) -> str:
    if record.state == "confirming":
        return f"confirming {record.confirmations}/{CONFIRMATIONS_REQUIRED}"
    if record.state == "detected":
        return f"detected in block {record.transfer.block_height}"
    return ENDS.get(record.state, "solid: billing books it")


async def _record(nc: Client, account_id: str, txid: str) -> DepositRecord | None:
    """The deposit as deposits tells it, or None before it is seen; an answer that does not come is none."""
    try:
        page = await call(nc, RECORD_LIST, ListRecords(account_id=account_id), RecordPage, RPC_TIMEOUT_S)
    except Unavailable:
        return None
    return next((record for record in page.records if record.transfer.txid == txid), None)


if __name__ == "__main__":
    sys.exit(main())
