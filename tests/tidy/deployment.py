"""What the deployment files have in common for their tests: services, images, variables, YAML. Never starts anything."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from tests.tidy.project import ROOT, text
from tests.tidy.settings_tables import SETTINGS

DOCKERFILE: Final = ROOT / "Dockerfile"
COMPOSE: Final = ROOT / "docker-compose.yml"
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
SERVICES: Final = tuple(SETTINGS)
# What a service gets on top of EDGE_GRACE_S to hand back grants and settle.
AFTER_GRACE_S: Final = 60
# Variables with a service's prefix that commands read by themselves.
READ_BY_COMMANDS: Final = {"CONSOLE_OPERATOR_PASSWORD"}


def settings_variables(service: str) -> set[str]:
    """Every variable that the settings of a service read."""
    kind = SETTINGS[service]
    prefix = kind.model_config.get("env_prefix", "")
    return {(prefix + name).upper() for name in kind.model_fields}


def required_variables(service: str) -> set[str]:
    """Those without a default."""
    kind = SETTINGS[service]
    prefix = kind.model_config.get("env_prefix", "")
    return {(prefix + name).upper() for name, info in kind.model_fields.items() if info.is_required()}


def unknown_variables(used: set[str]) -> set[str]:
    """Variables that look like a service's and are not."""
    known = READ_BY_COMMANDS.union(*(settings_variables(service) for service in SERVICES))
    return {name for name in used if re.match(r"(EDGE|BILLING|DEPOSITS|CONSOLE)_", name)} - known


def dockerfile_targets() -> dict[str, str]:
    """The instructions of each stage of the Dockerfile, by its name."""
    stages = re.split(r"^FROM \S+ AS (\S+)\n", text(DOCKERFILE), flags=re.MULTILINE)[1:]
    return dict(zip(stages[::2], stages[1::2], strict=True))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text(path)) if document is not None]


def kubernetes_objects() -> list[dict[str, Any]]:
    """Everything that `kubectl apply` would be given; no kustomizations, no values of charts."""
    found = [document for path in sorted(KUBERNETES.rglob("*.yaml")) for document in documents(path)]
    return [
        document for document in found if "kind" in document and document["kind"] not in ("Kustomization", "Component")
    ]
