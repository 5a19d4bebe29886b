"""Structured logs: one line an event, `time level logger message key=value…`, or JSON with TT_LOG_FORMAT=json.

Secrets are never logged: fields are written by name, and anything that looks like a key or a password in a URL is masked as a last
line of defence.
"""

import json
import logging
import os
import re
import sys
from typing import Any

from tt_common.clock import rfc3339

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])((?:sk|mt_live|gw|rk|pk)[-_]|whsec_)[A-Za-z0-9_\-+/]{8,}|(://[^:/\s]+:)[^@\s]+@|(?i:(bearer\s+))\S+"
)


def mask(text: str) -> str:
    """Key-like words, passwords in URLs and bearer tokens replaced by `***`."""
    return _SECRET.sub(lambda m: f"{m.group(1) or m.group(2) or m.group(3) or ''}***{'@' if m.group(2) else ''}", text)


class LineFormatter(logging.Formatter):
    """Readable lines; extra fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it where there is one; secrets masked."""
        fields = " ".join(f"{key}={value}" for key, value in extras(record).items())
        line = (
            f"{rfc3339(int(record.created * 1000))} {record.levelname.lower():<7} {record.name} {record.getMessage()}"
        )
        if fields:
            line = f"{line} {fields}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return mask(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without a line break; secrets masked."""
        entry: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
            **{key: mask(str(value)) for key, value in extras(record).items()},
        }
        if record.exc_info:
            entry["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(entry)  # masked before: a mask over JSON could eat a quote


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields given as `extra`."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def configure_logging(level: str = "INFO") -> None:
    """Log to standard error. Call once, first thing in a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if os.environ.get("TT_LOG_FORMAT") == "json" else LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # httpx and httpcore tell of every URL they ask, and a customer's may carry a token.
    for noisy in ("nats.aio.client", "uvicorn.access", "alembic.runtime.migration", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
