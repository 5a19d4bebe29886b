"""What the running product tells about itself: one trace through all services, metrics of each, and never a secret."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from tests.support.console import ConsoleUser
from tests.support.event_stream import read_events
from tests.support.metrics import scrape
from tests.support.product import SANDBOX, Product
from tests.support.trace_collector import CollectedSpan, TraceCollector
from tests.support.waiting import eventually
from tt_common.contracts.event_types import EVENT_STREAMS
from tt_common.contracts.grants import GRANTS_CHANGE
from tt_common.contracts.streams import USAGE, usage_subject
from tt_sandbox.stack.settings import PROJECT_DIR

HELLO: Any = [{"role": "user", "content": "Say hello."}]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
EDGE, BILLING, CONSOLE = "tokentally-edge", "tokentally-billing", "tokentally-console-api"
METRIC = re.compile(r"\b(?:tokentally|process)_[a-z_0-9]+\b")
CANARY_PROVIDER_KEY = "sk-canary-provider-7f3a9c"


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    running = TraceCollector()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced(collector: TraceCollector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product that sends its traces to the collector; calls without a context of their own are not sampled."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "TT_TRACE_RATIO": "0",
    }
    edge = env | {"SANDBOX_API_KEY": CANARY_PROVIDER_KEY}
    product = Product(
        tmp_path_factory.mktemp("traced"),
        edges=1,
        deposits=True,
        env={"edge": edge, "billing": env, "deposits": env, "console": env},
    )
    try:
        product.start()
        yield product
    finally:
        product.stop()


def test_one_trace_leads_from_the_client_through_every_service(traced: Product, collector: TraceCollector) -> None:
    # given a customer without a grant yet, whose client is traced
    model = traced.new_model()
    customer = traced.new_customer()
    key = customer.create_key()

    # when it calls
    with traced.openai(key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, extra_headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}
        )

    # then the trace has the call, its reservation at billing, its provider, its settlement, and what became of its event
    spans = eventually(lambda: _whole(collector.of_trace(TRACE)), "the whole trace")
    call, attempt, reserve = spans[f"chat {model}"], spans[f"POST {SANDBOX}"], spans[f"reserve {GRANTS_CHANGE}"]
    assert (call.service, call.parent_id) == (EDGE, SPAN)
    assert attempt.parent_id == reserve.parent_id == spans["settle"].parent_id == call.span_id
    asked = spans[GRANTS_CHANGE]
    assert (asked.service, asked.parent_id) == (BILLING, reserve.span_id)
    for name, service in (("settle usage", BILLING), ("ingest usage", CONSOLE)):
        assert (spans[name].service, spans[name].parent_id) == (service, call.span_id)
        batches = [span for span in collector.spans if span.name == f"{name} batch" and TRACE in span.linked]
        assert len(batches) == 1
        assert spans[name].linked == [batches[0].trace_id]

    # and the call's span says what the receipt says
    receipt = customer.receipt(raw.headers["x-request-id"])
    said = call.attributes
    assert said["tokentally.request_id"] == raw.headers["x-request-id"]
    assert said["tokentally.hold_id"] == raw.headers["x-tt-hold-id"]
    assert said["tokentally.cost_nanousd"] == receipt["cost_nanousd"] > 0
    assert (said["tokentally.outcome"], said["gen_ai.operation.name"]) == ("succeeded", "chat")
    assert (said["gen_ai.request.model"], said["gen_ai.provider.name"]) == (model, SANDBOX)
    usage = raw.parse().usage
    assert usage is not None
    assert said["gen_ai.usage.input_tokens"] == usage.prompt_tokens
    assert said["gen_ai.usage.output_tokens"] == usage.completion_tokens

    # and provider and event got the context that leads back to it
    [served] = traced.provider.calls(model=model)
    assert served["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
    [event] = read_events(traced.stack.nats.url, USAGE.name, usage_subject(customer.account_id))
    assert event["traceparent"] == f"00-{TRACE}-{call.span_id}-01"


def test_a_call_that_nobody_traces_leaves_no_span(traced: Product, collector: TraceCollector) -> None:
    model = traced.new_model()
    customer = traced.new_customer()
    unsampled = "1" * 32
    with traced.openai(customer.create_key()) as client:
        client.chat.completions.create(model=model, messages=HELLO)
        client.chat.completions.create(
            model=model, messages=HELLO, extra_headers={"traceparent": f"00-{unsampled}-{SPAN}-00"}
        )
        # a traced one last: when its spans are there, those before it would be too
        last = "2" * 32
        client.chat.completions.create(
            model=model, messages=HELLO, extra_headers={"traceparent": f"00-{last}-{SPAN}-01"}
        )

    wanted = {"ingest usage", f"chat {model}"}  # each service sends its batches when it likes
    eventually(lambda: wanted <= {span.name for span in collector.of_trace(last)}, "the traced call")
    assert [span.trace_id for span in collector.spans if span.name == f"chat {model}"] == [last]
    assert collector.of_trace(unsampled) == []
    served = [call["traceparent"] for call in traced.provider.calls(model=model)]
    assert served[0] is None
    assert served[1].startswith(f"00-{unsampled}-") and served[1].endswith("-00")


def test_metrics_count_what_happened(traced: Product) -> None:
    # given a call that is served, one that fails over to nobody, and one with a wrong key
    model, broken = traced.new_model(), traced.new_model()
    traced.provider.set_fault(broken, fail_status=500)
    customer = traced.new_customer()
    before = scrape(traced.stack.edge_urls[0])
    with traced.openai(customer.create_key()) as client:
        usage = client.chat.completions.create(model=model, messages=HELLO).usage
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model=broken, messages=HELLO)
    with traced.openai("sk-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=model, messages=HELLO)

    # then the edge tells of each
    edge = scrape(traced.stack.edge_urls[0])
    assert usage is not None
    assert edge.value("tokentally_edge_calls_total", model=model, outcome="succeeded", provider=SANDBOX) == 1
    assert edge.value("tokentally_edge_calls_total", model=broken, outcome="failed") == 1
    assert edge.value("tokentally_edge_failed_attempts_total", provider=SANDBOX, error="status") >= 1
    rejected = "tokentally_edge_rejections_total"
    assert edge.value(rejected, code="invalid_api_key") == before.value(rejected, code="invalid_api_key") + 1
    assert (
        edge.value("tokentally_edge_usage_total", model=model, **{"class": "output_tokens"}) == usage.completion_tokens
    )
    assert edge.value("tokentally_edge_cost_nanousd_total", model=model) > 0
    assert edge.value("tokentally_edge_first_byte_seconds_count", model=model) == 1
    assert edge.value("tokentally_edge_usable_routes", model=model) == 1
    assert edge.value("tokentally_edge_grant_wait_seconds_count") > before.value(
        "tokentally_edge_grant_wait_seconds_count"
    )
    assert edge.value("tokentally_edge_nats_connected") == edge.value("tokentally_edge_serving") == 1

    # and billing and console of their share
    def settled() -> bool:
        billing, console = scrape(traced.stack.billing_url), scrape(traced.stack.console_url)
        return (
            billing.value("tokentally_billing_usage_events_total", result="taken") >= 2
            and billing.value("tokentally_billing_rpc_seconds_count", method=GRANTS_CHANGE, code="ok") >= 1
            and billing.value("tokentally_billing_database_up") == 1
            and billing.value("tokentally_billing_operational_clock_seconds") > 0
            and billing.value("tokentally_billing_usage_stream_bytes") > 0
            and console.value("tokentally_console_usage_events_total", result="taken") >= 2
            and console.value(
                "tokentally_console_http_request_seconds_count", route="/keys", method="POST", status="201"
            )
            >= 1
        )

    eventually(settled, "billing and console count", 15.0)


def test_every_metric_that_dashboard_and_alerts_name_exists(traced: Product) -> None:
    urls = (traced.stack.edge_urls[0], *_own_urls(traced))
    known = set[str]().union(*(scrape(url).names for url in urls))

    for path in ("deploy/grafana/tokentally.json", "deploy/prometheus/alerts.yml"):
        named = set(METRIC.findall((PROJECT_DIR / path).read_text()))

        assert named, path
        assert named - known == set(), path


def test_metrics_are_not_for_the_world(traced: Product) -> None:
    for url in (traced.stack.edge_urls[0], *_own_urls(traced)):
        answer = httpx.get(f"{url}/metrics", headers={"X-Forwarded-For": "203.0.113.7"}, trust_env=False)

        assert answer.status_code == 404
        assert "tokentally_" not in answer.text


def test_no_secret_is_in_a_log_a_span_a_metric_an_event_an_error_or_a_process_list(
    traced: Product, collector: TraceCollector
) -> None:
    # given calls that go well, are refused, and fail at the provider, all traced, with a password and keys in play
    model = traced.new_model()
    customer = traced.new_customer()
    key = customer.create_key()
    traced_call = {"traceparent": f"00-{'3' * 32}-{SPAN}-01"}
    with traced.openai(key) as client:
        client.chat.completions.create(model=model, messages=HELLO, extra_headers=traced_call)
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(model="no-such-model", messages=HELLO, extra_headers=traced_call)
        traced.provider.set_fault(model, fail_status=401)
        with pytest.raises(openai.InternalServerError) as failed:
            client.chat.completions.create(model=model, messages=HELLO, extra_headers=traced_call)
    with traced.openai(key.plaintext + "x") as client, pytest.raises(openai.AuthenticationError) as refused:
        client.chat.completions.create(model=model, messages=HELLO)
    with ConsoleUser(traced.stack.console_url) as stranger:
        wrong = stranger.http.post("/auth/login", json={"email": customer.email, "password": customer.password + "x"})
        nonsense = stranger.http.post("/auth/login", json={"email": 1, "password": customer.password, "more": 2})
    wanted = {"ingest usage", f"chat {model}"}
    eventually(lambda: wanted <= {span.name for span in collector.of_trace("3" * 32)}, "the traced calls")

    # then none of the secrets is told
    passwords = traced.stack.folder.passwords()
    secrets = {key.plaintext, CANARY_PROVIDER_KEY, customer.password, *passwords.values()}
    told = {f"span {span.name} {span.span_id} of {span.service}": span.text for span in collector.spans}
    told |= {f"log {path.name}": path.read_text(errors="replace") for path in _logs(traced)}
    for url in (traced.stack.edge_urls[0], *_own_urls(traced)):
        told[f"metrics of {url}"] = scrape(url).text
    for error in (unknown.value, failed.value, refused.value):
        told[f"error {error.status_code}"] = f"{error.response.headers} {error.response.text}"
    for answer in (wrong, nonsense):
        assert answer.status_code in (400, 401)
        told[f"console's error {answer.status_code}"] = f"{answer.headers} {answer.text}"
    for spec in EVENT_STREAMS:
        told[f"events of {spec.name}"] = str(read_events(traced.stack.nats.url, spec.name, spec.subjects[0]))
    told |= _process_list()
    assert len(told) > 20
    assert [where for where, text in told.items() for secret in secrets if secret in text] == []


def _own_urls(product: Product) -> tuple[str, ...]:
    return product.stack.billing_url, product.stack.deposits_url, product.stack.console_url


def _logs(product: Product) -> list[Path]:
    return [service.process.log_path for service in product.stack.services]


def _process_list() -> dict[str, str]:
    """What everybody on the machine can see of this test's processes."""
    mine = psutil.Process().children(recursive=True)
    return {f"command line of {process.pid}": " ".join(process.cmdline()) for process in mine}


def _whole(spans: list[CollectedSpan]) -> dict[str, CollectedSpan] | None:
    by_name = {span.name: span for span in spans}
    return by_name if {"settle usage", "ingest usage", "settle"} <= by_name.keys() and len(spans) >= 7 else None
