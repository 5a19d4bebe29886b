"""The catalog's models in Anthropic's shape, in pages."""

from typing import Any, Final
from urllib.parse import parse_qs

from tt_common.clock import rfc3339
from tt_common.contracts.records import ModelRecord
from tt_edge.domain.refusals import invalid_request

PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 1_000


def models_body(models: list[ModelRecord], query: bytes = b"") -> dict[str, Any]:
    """A page of them, by `limit`, `after_id` and `before_id`. Raises invalid_request for a limit that is none."""
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    size = asked.get("limit", str(PAGE_SIZE))
    if not size.isascii() or not size.isdigit() or not 1 <= int(size[:5]) <= PAGE_SIZE_MAX:
        raise invalid_request(f"limit: must be between 1 and {PAGE_SIZE_MAX}.", "limit")
    after, before = asked.get("after_id", ""), asked.get("before_id", "")
    left = [model for model in models if model.id > after and (not before or model.id < before)]
    page = left[-int(size) :] if before else left[: int(size)]
    return {
        "data": [model_body(model) for model in page],
        "has_more": len(left) > len(page),
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def model_body(model: ModelRecord) -> dict[str, Any]:
    """One of them."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": rfc3339(model.created_at_ms),
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
    }
