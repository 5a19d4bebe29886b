"""The catalog's models in Google's shape."""

from typing import Any

from tt_common.contracts.records import ModelRecord
from tt_edge.protocols.gemini.paths import METHODS


def models_body(models: list[ModelRecord]) -> dict[str, Any]:
    """All of them on one page."""
    return {"models": [model_body(model) for model in models]}


def model_body(model: ModelRecord) -> dict[str, Any]:
    """One of them; what it can do is empty for a model that is none for chats."""
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.id,
        "description": f"{model.id} of {model.owned_by}",
        "inputTokenLimit": model.context_window,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": list(METHODS) if model.kind == "chat" else [],
    }
