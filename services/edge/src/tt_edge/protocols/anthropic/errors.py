"""Domain errors in Anthropic's shape: `{"type":"error","error":{type,message},"request_id"}`."""

from typing import Any, Final

import msgspec

from tt_common.errors import DomainError
from tt_edge.protocols.errors import error_message, error_status, refusal_message

TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def error_body(error: DomainError, request_id: str) -> bytes:
    """The JSON body. The sentence is the same in every protocol; fields are named in it."""
    if error.code == "all_providers_unavailable":
        return _body("overloaded_error", error_message(error), request_id)
    return _body(_type(error_status(error)), error_message(error), request_id)


def error_event(error: DomainError, request_id: str) -> bytes:
    """The same as an event in a stream that has begun; it is final, no message_stop follows."""
    return b"event: error\ndata: %b\n\n" % error_body(error, request_id)


def refusal_body(status: int, body: bytes, request_id: str) -> bytes:
    """A provider's own refusal under our request id: as it is where it has Anthropic's shape, else its text in that shape."""
    try:
        fields = _decoder.decode(body)
        if isinstance(msgspec.json.decode(fields["error"]), dict):
            fields["type"] = msgspec.Raw(b'"error"')
            fields["request_id"] = msgspec.Raw(msgspec.json.encode(request_id))
            return msgspec.json.encode(fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        pass  # HTML of a proxy, plain text, another JSON shape
    return _body(_type(status), refusal_message(status, body), request_id)


def _type(status: int) -> str:
    return TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _body(kind: str, message: str, request_id: str) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})
