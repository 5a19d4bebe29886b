"""How a process is told to trace: OTEL_EXPORTER_OTLP_ENDPOINT names the collector, TT_TRACE_RATIO what share of calls is sampled.

Without an endpoint nothing is sampled here; a caller's context still travels on.
"""

import os

from tt_common.telemetry.tracing import DEFAULT_RATIO, Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def tracing_of(service: str) -> Tracing:
    """Tracing as the environment says. Raises ValueError for a ratio that is none."""
    ratio = float(os.environ.get("TT_TRACE_RATIO", DEFAULT_RATIO))
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return Tracing(ratio)
    # Loads protobuf and an HTTP client, 15 MiB that a process without a collector shall not pay.
    from tt_common.telemetry.export import OtlpSink

    return Tracing(ratio, OtlpSink(service))
