"""An internal team's subscriber: adds up what each model cost, from usage events on NATS.

    python subscriber.py nats://team-analytics:PASSWORD@127.0.0.1:42220 [--database costs.db] [--until-idle]

Needs nats-py and nothing else. Invariant: an event counts once, however often it is delivered and wherever this program is killed.
"""

import argparse
import asyncio
import json
import sqlite3
import time
from pathlib import Path

import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM, DURABLE = "USAGE", "cost-by-model"
BATCH_MAX = 200
WAIT_S = 2.0
# Longer than events are kept (30 days), so that none can come again after it was forgotten.
SEEN_KEPT_S = 60 * 86_400

TABLES = """
CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, at INTEGER NOT NULL, PRIMARY KEY (source, id));
CREATE TABLE IF NOT EXISTS costs (model TEXT PRIMARY KEY, calls INTEGER NOT NULL, nanousd INTEGER NOT NULL);
"""


def count(database: sqlite3.Connection, messages: list[Msg]) -> None:
    """Note a batch in one transaction: what was seen, and what follows from it."""
    now = int(time.time())
    with database:
        for message in messages:
            headers = message.headers or {}
            if headers.get("ce-type") != "usage.v1":
                continue  # a type that this program doesn't know
            key = (headers["ce-source"], headers["ce-id"], now)
            if database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", key).rowcount == 0:
                continue  # delivered before
            event = json.loads(message.data)
            database.execute(
                "INSERT INTO costs VALUES (?, 1, ?) "
                "ON CONFLICT (model) DO UPDATE SET calls = calls + 1, nanousd = nanousd + excluded.nanousd",
                (event["model"], event["cost_nanousd"]),
            )
        database.execute("DELETE FROM seen WHERE at < ?", (now - SEEN_KEPT_S,))


def report(database: sqlite3.Connection) -> None:
    """Print cost by model, dearest first."""
    for model, calls, nanousd in database.execute("SELECT * FROM costs ORDER BY nanousd DESC, model"):
        print(f"{model:<32} {calls:>8} calls  ${nanousd // 10**9}.{nanousd % 10**9:09d}")
    print(flush=True)


async def subscribe(url: str, database: sqlite3.Connection, *, until_idle: bool) -> None:
    """Read for ever, or until nothing more waits."""
    connection = await nats.connect(url, name="example-subscriber", max_reconnect_attempts=-1)
    config = ConsumerConfig(
        durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, ack_wait=30
    )
    subscription = await connection.jetstream().pull_subscribe(
        "usage.v1.*", durable=DURABLE, stream=STREAM, config=config
    )
    try:
        while True:
            try:
                messages = await subscription.fetch(BATCH_MAX, timeout=WAIT_S)
            except TimeoutError:
                if until_idle and not (await subscription.consumer_info()).num_pending:
                    return
                continue
            count(database, messages)  # first committed,
            for message in messages:
                await message.ack()  # then acknowledged
            report(database)
    finally:
        await connection.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="what the operator gave the team")
    parser.add_argument("--database", type=Path, default=Path("costs.db"), help="SQLite file (default %(default)s)")
    parser.add_argument("--until-idle", action="store_true", help="end when all that waits is counted")
    arguments = parser.parse_args()
    database = sqlite3.connect(arguments.database)
    database.executescript(TABLES)
    try:
        asyncio.run(subscribe(arguments.url, database, until_idle=arguments.until_idle))
    except KeyboardInterrupt:
        pass
    report(database)
    database.close()


if __name__ == "__main__":
    main()
