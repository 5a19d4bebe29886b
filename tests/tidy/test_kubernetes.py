"""The Kubernetes manifests agree with each other, the images, the settings and the alert rules. Nothing is applied to a cluster."""

import re
from typing import Any, Final

import pytest

from tests.tidy.deployment import (
    AFTER_GRACE_S,
    KUBERNETES,
    SERVICES,
    dockerfile_targets,
    documents,
    kubernetes_objects,
    unknown_variables,
)
from tests.tidy.project import ROOT, text
from tt_common.contracts.nats_users import USERS
from tt_common.nats_accounts import password_variable

OBJECTS: Final = kubernetes_objects()
NAME: Final = "app.kubernetes.io/name"
(BASE,) = documents(KUBERNETES / "base" / "kustomization.yaml")
PRODUCTION: Final = KUBERNETES / "overlays" / "production"
(SERVICES_OVERLAY,) = documents(PRODUCTION / "services" / "kustomization.yaml")
(IMAGES,) = documents(PRODUCTION / "images" / "kustomization.yaml")
MAPS: Final[dict[str, dict[str, str]]] = {
    each["name"]: dict(literal.split("=", 1) for literal in each["literals"]) for each in BASE["configMapGenerator"]
}
WORKLOADS: Final = {
    each["metadata"]["name"]: each for each in OBJECTS if each["kind"] in ("Deployment", "StatefulSet", "Job")
}


def _kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == kind}


def _pod(workload: str) -> dict[str, Any]:
    return WORKLOADS[workload]["spec"]["template"]["spec"]


def _container(workload: str) -> dict[str, Any]:
    (container,) = _pod(workload)["containers"]
    return container


def test_every_kustomization_lists_what_is_there() -> None:
    for path in KUBERNETES.rglob("kustomization.yaml"):
        (kustomization,) = documents(path)
        beside = {each.name for each in path.parent.glob("*.yaml")} - {path.name}
        listed = {*kustomization.get("resources", []), *kustomization.get("components", [])}
        assert {each for each in listed if each.endswith(".yaml")} == beside
        assert all((path.parent / each).exists() for each in listed)


def test_every_service_and_every_step_is_there() -> None:
    assert set(WORKLOADS) == {*SERVICES, "deploy", "billing-migrate", "deposits-migrate", "console-migrate"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_meets_the_restricted_standard_and_writes_no_root_file_system(name: str) -> None:
    pod, container = _pod(name)["securityContext"], _container(name)["securityContext"]

    assert pod["runAsNonRoot"] is True and pod["runAsUser"] == 10001
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert _pod(name)["automountServiceAccountToken"] is False
    assert _container(name)["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_image_is_one_that_the_dockerfile_builds_and_production_names(name: str) -> None:
    image = _container(name)["image"]

    assert image.removeprefix("tokentally-") in dockerfile_targets()
    assert image in {each["name"] for each in IMAGES["images"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_probes_that_ask_the_right_thing(name: str) -> None:
    container = _container(name)
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}

    # A liveness probe on readiness would restart what only waits for NATS or PostgreSQL.
    assert paths == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    exposed = re.search(r"^EXPOSE (\d+)$", dockerfile_targets()[name], re.MULTILINE)
    assert exposed is not None and container["ports"][0]["containerPort"] == int(exposed[1])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_be_rolled_and_disrupted_without_a_gap(name: str) -> None:
    spec = WORKLOADS[name]["spec"]
    budget = _kind("PodDisruptionBudget")[name]["spec"]

    scaler = _kind("HorizontalPodAutoscaler").get(name)
    assert (spec["replicas"] if scaler is None else scaler["spec"]["minReplicas"]) >= 2
    assert spec["template"]["metadata"]["labels"][NAME] == name
    assert spec["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == {NAME: name}
    assert budget.get("minAvailable") == 1 or budget.get("maxUnavailable") == 1


def test_an_edge_has_time_to_drain() -> None:
    leave_s, grace_s = int(MAPS["edge"]["EDGE_LEAVE_S"]), int(MAPS["edge"]["EDGE_GRACE_S"])

    assert leave_s > 0
    assert _pod("edge")["terminationGracePeriodSeconds"] > leave_s + grace_s + AFTER_GRACE_S


def test_an_edges_journal_outlives_its_pod() -> None:
    spec = WORKLOADS["edge"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in _container("edge")["volumeMounts"]}

    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["journal"]
    assert {"name": "EDGE_JOURNAL_DIR", "value": mounts["journal"]} in _container("edge")["env"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}


def test_every_variable_of_a_service_exists_in_its_settings() -> None:
    maps = [*BASE["configMapGenerator"], *SERVICES_OVERLAY["configMapGenerator"]]
    used = {literal.partition("=")[0] for each in maps for literal in each["literals"]}
    used |= {variable["name"] for name in WORKLOADS for variable in _container(name).get("env", [])}

    assert unknown_variables(used) == set()
    assert {each["name"] for each in maps} == set(SERVICES)


def test_secrets_come_by_reference_alone() -> None:
    assert _kind("Secret") == {}
    assert [name for name, values in MAPS.items() for value in values.values() if "://" in value and "@" in value] == []


def test_owners_of_databases_are_for_the_steps() -> None:
    with_owner = {
        name
        for name in WORKLOADS
        if any("owner" in source.get("secretRef", {}).get("name", "") for source in _container(name)["envFrom"])
    }

    assert with_owner == {"billing-migrate", "deposits-migrate", "console-migrate"}


def test_scrape_jobs_are_named_as_the_alert_rules_name_them() -> None:
    used = set(re.findall(r'job="([a-z-]+)"', text(ROOT / "deploy" / "prometheus" / "alerts.yml")))
    monitors = _kind("PodMonitor")

    assert used <= set(monitors) == set(SERVICES)
    for name, monitor in monitors.items():
        assert monitor["spec"]["jobLabel"] == NAME
        assert monitor["spec"]["selector"]["matchLabels"] == {NAME: name}


def test_autoscalers_aim_at_workloads_by_metrics_that_the_adapter_serves_and_the_services_have() -> None:
    (adapter,) = documents(KUBERNETES / "engines" / "prometheus-adapter-values.yaml")
    served = {
        rule["seriesQuery"].partition("{")[0] for kind in ("custom", "external") for rule in adapter["rules"][kind]
    }
    asked: set[str] = set()
    for scaler in _kind("HorizontalPodAutoscaler").values():
        target = scaler["spec"]["scaleTargetRef"]
        assert WORKLOADS[target["name"]]["kind"] == target["kind"]
        # Applied again with a number of its own, a manifest would undo what the autoscaler has done.
        assert "replicas" not in WORKLOADS[target["name"]]["spec"]
        for metric in scaler["spec"]["metrics"]:
            asked |= {kind["metric"]["name"] for kind in (metric.get("pods"), metric.get("external")) if kind}

    assert asked == served
    # The dashboard's queries are tried against the running product elsewhere.
    assert [name for name in asked if name not in text(ROOT / "deploy" / "grafana" / "tokentally.json")] == []


def test_no_policy_is_for_pods_that_do_not_exist() -> None:
    for policy in _kind("NetworkPolicy").values():
        selector = policy["spec"]["podSelector"]
        named = {*selector.get("matchLabels", {}).values()}
        named |= {name for each in selector.get("matchExpressions", []) for name in each["values"]}
        assert named <= set(WORKLOADS)
    assert _kind("NetworkPolicy")["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_nats_gets_the_password_of_every_user() -> None:
    (values,) = documents(KUBERNETES / "engines" / "nats-values.yaml")

    assert set(values["container"]["env"]) == {password_variable(user) for user in USERS}
    assert values["config"]["cluster"]["replicas"] == 3
    deploy = {each["name"]: each["value"] for each in _container("deploy")["env"]}
    assert deploy["TT_NATS_REPLICAS"] == "3"
