"""Every way in which the edge itself says no, each with its code. Statuses and body shapes are the protocols' business."""

from typing import Final

from tt_common.errors import DomainError

RETRY_SOON_S: Final = 1.0


def invalid_request(message: str, param: str | None = None) -> DomainError:
    """The body is not what the protocol allows; `param` names the field."""
    return DomainError("invalid_request", message, param=param)


def missing_key(place: str, prefixes: tuple[str, ...]) -> DomainError:
    """`place` is where the protocol's SDKs put it."""
    wanted = " or ".join(f"{prefix}…" for prefix in prefixes)
    return DomainError(
        "invalid_api_key",
        f"No API key was sent. Send it as {place} (keys look like {wanted}).",
    )


def invalid_key(reason: str) -> DomainError:
    return DomainError("invalid_api_key", reason)


def keys_not_loaded() -> DomainError:
    return DomainError(
        "not_ready", "This gateway has not loaded its keys yet; please retry.", retry_after_s=RETRY_SOON_S
    )


def model_not_allowed(message: str) -> DomainError:
    return DomainError("model_not_allowed", message)


def model_not_found(model: str) -> DomainError:
    return DomainError(
        "model_not_found",
        f"The model '{model}' does not exist or has no price in force. GET /v1/models lists the models this key may use.",
        param="model",
    )


def wrong_endpoint(model: str, kind: str, path: str) -> DomainError:
    return DomainError(
        "invalid_request", f"The model '{model}' is a model for {kind}; it can't be used with {path}.", param="model"
    )


def body_too_large(limit_bytes: int) -> DomainError:
    return DomainError("request_too_large", f"The body is larger than {limit_bytes} bytes.")


def body_too_slow() -> DomainError:
    return DomainError("request_timeout", "The body took too long to arrive; no model was called.")


def no_room_for_upload() -> DomainError:
    return DomainError(
        "upload_unavailable",
        "There is no room for this upload at the moment; no model was called. Please retry.",
        retry_after_s=RETRY_SOON_S,
    )


def billing_unavailable() -> DomainError:
    return DomainError(
        "billing_unavailable",
        "Credit can't be reserved at the moment; no model was called. Please retry.",
        retry_after_s=RETRY_SOON_S,
    )


def all_providers_unavailable(retry_after_s: float) -> DomainError:
    return DomainError(
        "all_providers_unavailable",
        "Every provider of this model is unavailable at the moment. Please retry.",
        retry_after_s=retry_after_s,
    )


def upstream_error(message: str) -> DomainError:
    return DomainError("upstream_error", message)


def upstream_timeout() -> DomainError:
    return DomainError("upstream_timeout", "The provider did not answer in time.")
