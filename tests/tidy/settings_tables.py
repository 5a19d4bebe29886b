"""The settings table of each service's README, made from its settings class. `python -m tests.tidy.settings_tables --write`.

The table stands between two comments; a README without them gets a section at its end. Never makes a README.
"""

import json
import re
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_billing.settings import Settings as BillingSettings
from tt_console.settings import ConsoleSettings
from tt_deposits.settings import Settings as DepositsSettings
from tt_edge.settings import Settings as EdgeSettings

SETTINGS: dict[str, type[BaseSettings]] = {
    "edge": EdgeSettings,
    "billing": BillingSettings,
    "deposits": DepositsSettings,
    "console-api": ConsoleSettings,
}
BEGIN = "<!-- settings:begin (generated: make generate) -->"
END = "<!-- settings:end -->"
_BLOCK = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)


def readme(service: str) -> Path:
    return ROOT / "services" / service / "README.md"


def generate() -> dict[Path, str]:
    """The READMEs with up-to-date tables. A service without a README is left out; a test of its own says so."""
    return {
        path: _with_table(path.read_text(), table(kind))
        for service, kind in SETTINGS.items()
        if (path := readme(service)).exists()
    }


def table(settings: type[BaseSettings]) -> str:
    """A Markdown table, one row a variable."""
    prefix = settings.model_config.get("env_prefix", "")
    rows = [
        f"| `{(prefix + name).upper()}` | {_default(info)} | {_cell(info.description or '')} |"
        for name, info in settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _with_table(text: str, settings_table: str) -> str:
    block = f"{BEGIN}\n{settings_table}\n{END}"
    if _BLOCK.search(text):
        return _BLOCK.sub(lambda _: block, text)
    return f"{text.rstrip()}\n\n## Settings\n\n{block}\n"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value: Any = info.get_default(call_default_factory=True)
    if value is None or value == "":
        return "–"
    return f"`{json.dumps(value)}`" if isinstance(value, tuple | bool) else f"`{value}`"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    run(generate, __doc__)
