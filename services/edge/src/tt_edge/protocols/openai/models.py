"""The catalog's models in OpenAI's shape."""

from typing import Any

from tt_common.contracts.records import ModelRecord


def models_body(models: list[ModelRecord]) -> dict[str, Any]:
    """All of them; OpenAI has no pages here."""
    return {"object": "list", "data": [model_body(model) for model in models]}


def model_body(model: ModelRecord) -> dict[str, Any]:
    """One of them."""
    return {"id": model.id, "object": "model", "created": model.created_at_ms // 1000, "owned_by": model.owned_by}
