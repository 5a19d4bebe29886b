"""seed, demo, create-operator: safe to repeat, and they leave operators' work alone."""

from pathlib import Path

from tests.integration.console.conftest import Browser, Deployment, wait_until
from tt_common.contracts.streams import CATALOG

SEED = ("seed", "--catalog", "config/catalog.json")


def test_seeding_again_changes_nothing(deployment: Deployment) -> None:
    deployment.command(*SEED)
    before = deployment.query("SELECT id, revision FROM models ORDER BY id")
    prices = {model: len(versions) for model, versions in deployment.billing.prices.items()}

    done = deployment.command(*SEED)

    assert done.stdout.endswith(f" {len(before)} models, 0 new prices\n")
    assert deployment.query("SELECT id, revision FROM models ORDER BY id") == before
    assert {model: len(versions) for model, versions in deployment.billing.prices.items()} == prices


def test_the_catalog_bucket_has_models_routed_to_the_sandbox(deployment: Deployment) -> None:
    deployment.command(*SEED, SANDBOX_BASE_URL="http://127.0.0.1:8090/v1")

    provider = deployment.bus.value(CATALOG.subject("provider.sandbox"))
    model = deployment.bus.value(CATALOG.subject("model.llama-3=2E1-70b"))

    assert provider is not None
    assert (provider["base_url"], provider["key_ref"]) == ("http://127.0.0.1:8090/v1", "env:SANDBOX_API_KEY")
    assert model is not None
    assert model["routes"][0]["provider"] == "sandbox"
    assert model["routes"][0]["upstream_model"].startswith("meta-llama/")


def test_with_an_openai_key_its_models_go_to_openai_and_back_without(deployment: Deployment) -> None:
    subject = CATALOG.subject("model.gpt-4o")

    deployment.command(*SEED, OPENAI_API_KEY="secret-of-the-test", OPENAI_BASE_URL="http://127.0.0.1:1/v1")

    there = deployment.bus.value(subject)
    assert there is not None
    assert there["routes"][0]["provider"] == "openai"
    provider = deployment.bus.value(CATALOG.subject("provider.openai"))
    assert provider is not None
    assert (provider["base_url"], provider["key_ref"]) == ("http://127.0.0.1:1/v1", "env:OPENAI_API_KEY")
    assert "secret-of-the-test" not in str(deployment.query("SELECT * FROM providers"))

    deployment.command(*SEED)

    back = deployment.bus.value(subject)
    assert back is not None
    assert back["routes"][0]["provider"] == "sandbox"


def test_seeding_leaves_what_an_operator_changed(deployment: Deployment, operator: Browser) -> None:
    body = {
        "kind": "embedding",
        "owned_by": "us",
        "context_window": 512,
        "max_output_tokens": 0,
        "hold_output_tokens": 0,
        "routes": [{"provider": "sandbox", "upstream_model": "ours"}],
    }
    operator.http.put("/operator/models/mxbai-embed-large", json=body)
    priced = {"model": "mxbai-embed-large", "usd_per_million_tokens": {"input": "0.5"}}
    version = operator.http.post("/operator/prices", json=priced).json()["version"]

    deployment.command(*SEED)

    model = operator.http.get("/operator/models/mxbai-embed-large").json()
    assert (model["owned_by"], model["managed_by"]) == ("us", "operator")
    assert deployment.billing.prices["mxbai-embed-large"][-1].version == version


def test_seeding_leaves_a_provider_that_an_operator_took_over(
    deployment: Deployment, operator: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "catalog.json"
    file.write_text('{"providers": [{"id": "seeded", "base_url": "http://127.0.0.1:2/v1"}], "models": []}')
    deployment.command("seed", "--catalog", str(file))
    operator.http.put("/operator/providers/seeded", json={"base_url": "https://ours.example.com/v1"})

    deployment.command("seed", "--catalog", str(file))

    provider = operator.http.get("/operator/providers/seeded").json()
    assert (provider["base_url"], provider["managed_by"]) == ("https://ours.example.com/v1", "operator")


def test_demo_twice_is_one_account_one_credit_and_a_key_that_works(deployment: Deployment, tmp_path: Path) -> None:
    first = deployment.shell("demo")
    key_file = tmp_path / "demo-key"
    key_file.write_text(first.stdout)

    kept = deployment.command("demo", "--key-file", str(key_file))
    rotated = deployment.command("demo")

    account_id = deployment.query("SELECT account_id FROM users WHERE email = 'demo@example.com'")[0][0]
    assert len(first.stdout.split()) == 1
    assert "password" in first.stderr
    assert kept.stdout == first.stdout
    assert "password" not in kept.stderr + rotated.stderr
    assert rotated.stdout != first.stdout
    assert deployment.billing.wallet(account_id).available_nanousd == 10_000_000_000
    assert deployment.query("SELECT count(*) FROM keys WHERE account_id = %s", account_id) == [(1,)]
    old, new = deployment.key_record(first.stdout.strip()), deployment.key_record(rotated.stdout.strip())
    assert old is not None
    assert new is not None
    assert (old.status, new.status) == ("rotated", "active")


def test_create_operator_promotes_a_customer_and_ends_the_sessions(customer: Browser, deployment: Deployment) -> None:
    deployment.command("create-operator", customer.email, CONSOLE_OPERATOR_PASSWORD="a brand new password")

    assert customer.http.get("/auth/me").status_code == 401
    customer.log_in(password="a brand new password")
    assert customer.http.get("/operator/accounts").status_code == 200


def test_records_that_a_bucket_lost_are_put_again_at_start(deployment: Deployment, customer: Browser) -> None:
    made = customer.make_key()
    wait_until(lambda: deployment.key_record(made["key"]))
    rotated = customer.http.post(f"/keys/{made['id']}/rotate").json()
    wait_until(lambda: deployment.key_record(rotated["key"]))

    deployment.bus.run(deployment.bus.js.purge_stream("KV_keys"))
    assert deployment.key_record(rotated["key"]) is None

    deployment.restart_serving()

    old = wait_until(lambda: deployment.key_record(made["key"]))
    new = wait_until(lambda: deployment.key_record(rotated["key"]))
    assert (old.status, new.status) == ("rotated", "active")
