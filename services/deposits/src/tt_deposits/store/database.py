"""Transactions as the use cases know them.

A database that can't be reached becomes Unavailable here, and nowhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_common.db.availability import unavailable
from tt_common.db.positions import read_position, save_position
from tt_common.db.rows import run
from tt_deposits.store import (
    addresses,
    assignments,
    chain,
    deposits,
    movements,
    orders,
    outbox,
    reconciliations,
    rescans,
)

UNREACHABLE: Final = "deposits can't be reached now"


class PostgresUnit:
    """The store's functions, bound to one connection in a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.enqueue_events = partial(outbox.enqueue_events, connection)
        self.enqueue_again = partial(outbox.enqueue_again, connection)

        self.pin_xpub = partial(chain.pin_xpub, connection)
        self.read_cursor = partial(chain.read_cursor, connection)
        self.lock_cursor = partial(chain.lock_cursor, connection)
        self.start_cursor = partial(chain.start_cursor, connection)
        self.move_cursor = partial(chain.move_cursor, connection)
        self.add_blocks = partial(chain.add_blocks, connection)
        self.prune_blocks = partial(chain.prune_blocks, connection)
        self.read_block_ids = partial(chain.read_block_ids, connection)
        self.read_halt = partial(chain.read_halt, connection)
        self.add_halt = partial(chain.add_halt, connection)
        self.end_halt = partial(chain.end_halt, connection)

        self.find_addresses = partial(addresses.find_addresses, connection)
        self.lock_addresses = partial(addresses.lock_addresses, connection)
        self.set_blacklisted = partial(addresses.set_blacklisted, connection)
        self.set_activated = partial(addresses.set_activated, connection)
        self.count_addresses_by_use = partial(addresses.count_addresses_by_use, connection)
        self.count_spare = partial(addresses.count_spare, connection)
        self.next_index = partial(addresses.next_index, connection)
        self.add_address = partial(addresses.add_address, connection)
        self.given_address = partial(addresses.given_address, connection)
        self.give_address = partial(addresses.give_address, connection)

        self.lock_claims = partial(assignments.lock_claims, connection)
        self.adopt_address = partial(assignments.adopt_address, connection)
        self.retire_address = partial(assignments.retire_address, connection)
        self.retire_spares = partial(assignments.retire_spares, connection)
        self.missing_indexes = partial(assignments.missing_indexes, connection)
        self.assigned_addresses = partial(assignments.assigned_addresses, connection)
        self.is_waiting_to_be_said = partial(assignments.is_waiting_to_be_said, connection)

        self.add_outgoing = partial(movements.add_outgoing, connection)
        self.add_unsupported = partial(movements.add_unsupported, connection)
        self.add_contract_event = partial(movements.add_contract_event, connection)
        self.count_unsupported = partial(movements.count_unsupported, connection)

        self.add_rescan = partial(rescans.add_rescan, connection)
        self.next_rescan = partial(rescans.next_rescan, connection)
        self.move_rescan = partial(rescans.move_rescan, connection)
        self.list_rescans = partial(rescans.list_rescans, connection)

        self.lock_deposits = partial(deposits.lock_deposits, connection)
        self.lock_waiting = partial(deposits.lock_waiting, connection)
        self.lock_unsolid = partial(deposits.lock_unsolid, connection)
        self.lock_overdue = partial(deposits.lock_overdue, connection)
        self.save_deposits = partial(deposits.save_deposits, connection)
        self.add_steps = partial(deposits.add_steps, connection)
        self.add_received = partial(deposits.add_received, connection)
        self.forget_booked = partial(deposits.forget_booked, connection)
        self.read_deposit = partial(deposits.read_deposit, connection)
        self.list_deposits = partial(deposits.list_deposits, connection)
        self.read_steps = partial(deposits.read_steps, connection)

        self.lock_wanting_orders = partial(orders.lock_wanting_orders, connection)
        self.save_orders = partial(orders.save_orders, connection)
        self.add_order = partial(orders.add_order, connection)
        self.read_order = partial(orders.read_order, connection)
        self.list_orders = partial(orders.list_orders, connection)
        self.count_open_orders = partial(orders.count_open_orders, connection)
        self.lock_expiring_orders = partial(orders.lock_expiring_orders, connection)
        self.order_statuses = partial(orders.order_statuses, connection)
        self.deposits_of_orders = partial(orders.deposits_of_orders, connection)
        self.address_of_account = partial(orders.address_of_account, connection)

        self.swept_addresses = partial(reconciliations.swept_addresses, connection)
        self.first_watched_height = partial(reconciliations.first_watched_height, connection)
        self.count_addresses = partial(reconciliations.count_addresses, connection)
        self.checked_addresses = partial(reconciliations.checked_addresses, connection)
        self.moved_in = partial(reconciliations.moved_in, connection)
        self.moved_out = partial(reconciliations.moved_out, connection)
        self.state_sums = partial(reconciliations.state_sums, connection)
        self.address_totals = partial(reconciliations.address_totals, connection)
        self.wrong_addresses = partial(reconciliations.wrong_addresses, connection)
        self.booked_deposits = partial(reconciliations.booked_deposits, connection)
        self.deposits_by_id = partial(reconciliations.deposits_by_id, connection)
        self.save_report = partial(reconciliations.save_report, connection)
        self.last_report = partial(reconciliations.last_report, connection)
        self.is_reconciling = partial(reconciliations.is_reconciling, connection)

        self.read_position = partial(read_position, connection)
        self.save_position = partial(save_position, connection)


class PostgresDatabase:
    """See usecases.ports.Database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        with unavailable(UNREACHABLE):
            async with self._engine.begin() as connection:
                yield PostgresUnit(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresUnit]:
        with unavailable(UNREACHABLE):
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                await run(connection, "SET LOCAL statement_timeout = 0")
                await run(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
                yield PostgresUnit(connection)
