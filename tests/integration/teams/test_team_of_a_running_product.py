"""A team beside the running product, by the commands that people use: its bill, its subscriber, and that nobody feels it."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from tests.integration.teams.reading import read
from tests.support.product import Product
from tests.support.waiting import eventually
from tests.tidy.project import ROOT
from tt_common.contracts.streams import USAGE

HELLO: Any = [{"role": "user", "content": "Say hello."}]
SUBSCRIBER = ROOT / "examples" / "subscriber" / "subscriber.py"


def command(product: Product, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the stack on this product's data folder, where `make up` notes its ports."""
    _note_ports(product)
    return subprocess.run(
        [sys.executable, "-m", f"tt_sandbox.stack.{module}", *arguments],
        env=_environment(product),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _note_ports(product: Product) -> None:
    (product.stack.folder.run / "ports.json").write_text(json.dumps({"nats": product.stack.nats.port}))


def _environment(product: Product) -> dict[str, str]:
    return {**os.environ, "DATA_DIR": str(product.stack.folder.root), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def team_url(product: Product) -> str:
    """What the command prints for a new team."""
    made = command(product, "team", "analytics")
    assert made.returncode == 0, made.stderr
    found = re.search(r"nats://team-analytics:\S+", made.stdout)
    assert found is not None, made.stdout
    return found.group()


def spend(product: Product, model: str, calls: int, credit_usd: str = "1.00") -> str:
    """An account with this many calls of uneven cost, all settled; its id."""
    customer = product.new_customer(credit_usd)
    with product.openai(customer.create_key()) as client:
        for number in range(calls):
            client.chat.completions.create(
                model=model,
                messages=HELLO,
                extra_body={"sandbox": {"prompt_tokens": 7 * number + 1, "output_tokens": 3 * number + 1}},
            )
    customer.settled_balance_nanousd()
    return customer.account_id


def usage_debits_nanousd(product: Product, account_id: str) -> int:
    """What the ledger took from the account for usage, whatever bucket it was in."""
    query = (
        "SELECT coalesce(sum(amount_nanousd), 0) FROM ledger WHERE account_id = %s AND source = 'usage' "
        "AND credit = 'revenue'"
    )
    with psycopg.connect(product.stack.database_url("billing", "owner")) as connection:
        row = connection.execute(query, (account_id,)).fetchone()
    assert row is not None
    return int(row[0])


def test_the_events_of_an_account_add_up_to_its_bill(product: Product, team_url: str) -> None:
    # given accounts whose calls cost uneven amounts
    model = product.new_model(input_usd="0.333333", output_usd="1.777777")
    accounts = [spend(product, model, calls) for calls in (5, 2)]

    # when a team rebuilds their bills from its own copy of the events, each counted once
    def bills() -> dict[str, int] | None:
        events = {(event.headers["ce-source"], event.headers["ce-id"]): event for event in read(team_url, USAGE.name)}
        found = {
            account: [event.data["cost_nanousd"] for event in events.values() if event.data["account_id"] == account]
            for account in accounts
        }
        if [len(costs) for costs in found.values()] != [5, 2]:
            return None
        return {account: sum(costs) for account, costs in found.items()}

    rebuilt = eventually(bills, "all events in the team's copy")

    # then
    assert all(bill > 0 for bill in rebuilt.values())
    assert rebuilt == {account: usage_debits_nanousd(product, account) for account in accounts}


def test_the_example_subscriber_counts_every_call_once_over_restarts_and_lost_acknowledgements(
    product: Product, team_url: str, tmp_path: Path
) -> None:
    # given calls of a model of this test's own
    model = product.new_model(input_usd="0.333333", output_usd="1.777777")
    account = spend(product, model, 3)
    database = tmp_path / "costs.db"
    first = _subscribe(team_url, database)

    # when its durable is lost, so that everything comes again, with two more calls
    _delete_durable(team_url)
    other = spend(product, model, 2)
    second = _subscribe(team_url, database)

    # then
    spent = usage_debits_nanousd(product, account)
    assert _line(first, model) == (3, spent)
    assert _line(second, model) == (5, spent + usage_debits_nanousd(product, other))


def _subscribe(url: str, database: Path) -> str:
    argv = [sys.executable, str(SUBSCRIBER), url, "--database", str(database), "--until-idle"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _delete_durable(url: str) -> None:
    async def delete() -> None:
        connection = await nats.connect(url)
        await connection.jetstream().delete_consumer(USAGE.name, "cost-by-model")
        await connection.close()

    asyncio.run(delete())


def _line(output: str, model: str) -> tuple[int, int]:
    """Calls and nanoUSD of the last line about a model."""
    calls, dollars, fraction = re.findall(rf"^{model}\s+(\d+) calls  \$(\d+)\.(\d+)$", output, re.MULTILINE)[-1]
    return int(calls), int(dollars) * 10**9 + int(fraction)


async def test_a_stuck_consumer_of_a_team_disturbs_neither_billing_nor_the_stream(
    product: Product, team_url: str
) -> None:
    # given a team that took all it may have unacknowledged, and sits on it
    connection = await nats.connect(team_url)
    config = ConsumerConfig(durable_name="stuck", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1)
    subscription = await connection.jetstream().pull_subscribe(
        "usage.v1.*", durable="stuck", stream=USAGE.name, config=config
    )
    model = product.new_model()
    spend(product, model, 1)
    assert len(await subscription.fetch(1, timeout=10)) == 1

    # when calls go on
    account = spend(product, model, 5)

    # then billing settled them all, and the product sees no consumer that waits
    assert usage_debits_nanousd(product, account) > 0
    own = await nats.connect(product.stack.nats.url)
    consumers = {info.name: info for info in await own.jetstream().consumers_info(USAGE.name)}
    await own.close()
    billing = consumers["billing"]
    assert (billing.num_pending, billing.num_ack_pending) == (0, 0)
    assert "stuck" not in consumers
    assert ((await subscription.consumer_info()).num_pending or 0) >= 5
    await connection.close()


def test_the_command_says_what_it_did_and_the_password_only_once(product: Product, team_url: str) -> None:
    # when
    again = command(product, "team", "analytics")
    rotated = command(product, "team", "billing-alerts")
    rotated = command(product, "team", "billing-alerts", "--rotate")
    removed = command(product, "team", "billing-alerts", "--remove")
    gone = command(product, "team", "billing-alerts", "--remove")
    odd = command(product, "team", "Über")

    # then
    assert again.returncode == 0
    assert "exists" in again.stdout
    assert "nats://" not in again.stdout
    assert "nats://team-billing-alerts:" in rotated.stdout
    assert removed.returncode == 0
    assert (gone.returncode, gone.stderr) == (1, "there is no team billing-alerts\n")
    assert (odd.returncode, odd.stdout) == (1, "")
    assert "lower-case" in odd.stderr


@pytest.fixture
def tail(product: Product) -> Iterator[Any]:
    """Starts `make events` with arguments; its lines as they come."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> list[str]:
        _note_ports(product)
        process = subprocess.Popen(
            [sys.executable, "-m", "tt_sandbox.stack.events", *arguments],
            env=_environment(product),
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        lines: list[str] = []
        assert process.stdout is not None
        threading.Thread(target=lambda out=process.stdout: lines.extend(out), daemon=True).start()
        return lines

    yield start
    for process in running:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_tail_shows_events_of_all_streams_readably(product: Product, tail: Any) -> None:
    # given
    model = product.new_model()
    account = spend(product, model, 2)

    # when
    lines: list[str] = tail("--account", account, "--since", "10m")

    # then
    eventually(lambda: sum("usage.v1" in line for line in lines) == 2, f"both calls in {lines}")
    text = "".join(lines)
    assert re.search(rf"^\d\d:\d\d:\d\d\.\d\d\d  usage\.v1 +{account}  {model}  succeeded  200  input 1 ", text, re.M)
    assert re.search(r"billing\.wallet_adjusted\.v1 .* amount \$1\.00 ", text)
    assert "identity.key_changed.v1" in text
    assert "\x1b" not in text, "colours are for terminals"
    assert {line.split()[2] for line in lines} == {account}


def test_the_tail_gives_json_of_one_type_for_programs(product: Product, tail: Any) -> None:
    # given
    account = spend(product, product.new_model(), 1)

    # when
    lines: list[str] = tail("--type", "usage", "--account", account, "--since", "10m", "--json")

    # then
    eventually(lambda: len(lines) == 1, "the call's event")
    event = json.loads(lines[0])
    assert event["type"] == "usage.v1"
    assert event["nats_subject"] == f"usage.v1.{account}"
    assert event["data"]["outcome"] == "succeeded"


def test_the_tail_names_the_types_when_there_is_none_of_a_name(product: Product) -> None:
    refused = command(product, "events", "--type", "nonsense")

    assert refused.returncode == 2
    assert "billing.wallet_low.v1" in refused.stderr
