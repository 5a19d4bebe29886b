"""The scheduled reconciliation: runs it and logs the result."""

import logging

from nats.aio.client import Client

from tt_billing.consumers.usage import DURABLE
from tt_billing.usecases.context import Context
from tt_billing.usecases.reconcile import Report, reconcile
from tt_common.contracts.streams import USAGE

log = logging.getLogger(__name__)

DIFFERENCES_LOGGED_MAX = 10


async def usage_backlog(nc: Client) -> int:
    """Events in USAGE that are not settled yet."""
    info = await nc.jetstream(timeout=5).consumer_info(USAGE.name, DURABLE)
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def reconcile_now(context: Context, nc: Client) -> Report:
    """Rates the receipts again that are new since the last clean run."""
    report = await reconcile(context, await usage_backlog(nc), whole=False)
    fields = {"rated": report.rated, "quarantined": report.quarantined, "usage_backlog": report.usage_backlog}
    if report.clean:
        log.info("reconciled, no differences", extra=fields)
        return report
    log.error("reconciliation found differences", extra={**fields, "differences": len(report.differences)})
    for difference in report.differences[:DIFFERENCES_LOGGED_MAX]:
        log.error(
            "difference",
            extra={
                "check": difference.check,
                "what": difference.what,
                "expected": difference.expected,
                "found": difference.found,
            },
        )
    return report
