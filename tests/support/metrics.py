"""A service's /metrics as a test reads it."""

import re

import httpx

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{[^}]*\})? (\S+)$")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


class Metrics:
    """One scrape: `names` that a query may use, `value` of a sample, the whole `text`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = {f"{m[1]}{m[2] or ''}": float(m[3]) for line in text.splitlines() if (m := SAMPLE.match(line))}
        self.names: set[str] = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                self.names |= {name + suffix for suffix in SUFFIXES.get(kind, ("",))}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels; 0 where there are none."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for sample, value in self.samples.items()
            if sample.partition("{")[0] == name and all(one in sample for one in wanted)
        )


def scrape(service_url: str) -> Metrics:
    """GET /metrics, which must answer."""
    answer = httpx.get(f"{service_url}/metrics", trust_env=False, timeout=5.0)
    assert answer.status_code == 200, answer.text
    return Metrics(answer.text)
