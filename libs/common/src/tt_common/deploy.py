"""One-shot deploy step: makes the streams and buckets of NATS what `contracts.streams` says. Safe to repeat.

`python -m tt_common.deploy`, with TT_NATS_URL set. Never deletes anything.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import os
import sys

import nats.js.errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from tt_common.bus.connection import connect
from tt_common.contracts.streams import BUCKETS, STREAMS, BucketSpec, StreamSpec


def stream_config(spec: StreamSpec, replicas: int) -> StreamConfig:
    """The JetStream configuration that `spec` stands for."""
    return StreamConfig(
        name=spec.name,
        description=spec.description,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW if spec.discard == "new" else DiscardPolicy.OLD,
        max_bytes=spec.max_bytes,
        max_age=spec.max_age_s,
        max_msgs_per_subject=spec.messages_per_subject,
        duplicate_window=spec.duplicate_window_s,
        num_replicas=replicas,
        allow_direct=True,
    )


def bucket_config(spec: BucketSpec, replicas: int) -> StreamConfig:
    """A KV bucket as the stream that it is (ADR-8 of NATS)."""
    return StreamConfig(
        name=spec.stream,
        description=spec.description,
        subjects=[spec.subject(">")],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=spec.max_bytes,
        max_msgs_per_subject=spec.history,
        max_age=spec.ttl_s or 0,
        duplicate_window=min(spec.ttl_s or 120, 120),
        num_replicas=replicas,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
    )


async def deploy(js: JetStreamContext, replicas: int = 1) -> None:
    """Create or update every stream and bucket."""
    configs = [stream_config(spec, replicas) for spec in STREAMS] + [bucket_config(spec, replicas) for spec in BUCKETS]
    for config in configs:
        assert config.name is not None
        try:
            await js.stream_info(config.name)
        except nats.js.errors.NotFoundError:
            await js.add_stream(config)
        else:
            await js.update_stream(config)


async def require(js: JetStreamContext, *names: str) -> None:
    """Raise RuntimeError naming the first stream that is missing: a service refuses to start without what it needs."""
    for name in names:
        try:
            await js.stream_info(name)
        except nats.js.errors.NotFoundError:
            raise RuntimeError(f"the stream {name} does not exist; run python -m tt_common.deploy first") from None


async def main() -> int:
    """The command: deploys to TT_NATS_URL, on TT_NATS_REPLICAS servers. Exit status 2 where the URL is missing."""
    url = os.environ.get("TT_NATS_URL")
    if not url:
        print("TT_NATS_URL is not set", file=sys.stderr)
        return 2
    nc = await connect(url, "tt-deploy")
    try:
        await deploy(nc.jetstream(timeout=10), int(os.environ.get("TT_NATS_REPLICAS", "1")))
    finally:
        await nc.close()
    print(f"{len(STREAMS)} streams and {len(BUCKETS)} buckets are in place")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
