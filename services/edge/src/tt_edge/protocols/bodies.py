"""JSON request bodies: read into raw fields and into what is known of them, with errors that name the field."""

import re
from typing import Any, Final, Protocol, TypeVar

import msgspec

from tt_common.errors import DomainError
from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.port import RawFields

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Some clients put it before their JSON; it means nothing in UTF-8."""
TOO_DEEP: Final = "The body is nested too deeply."
HALF_AN_EMOJI: Final = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")


class _Named(Protocol):
    model: str


Known = TypeVar("Known", bound=_Named)
_fields_decoder = msgspec.json.Decoder(RawFields)


def decode_fields(body: bytes, known_decoder: msgspec.json.Decoder[Known]) -> tuple[RawFields, Known]:
    """A body that names its model. Raises invalid_request naming the field."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        check_utf8(body)
        fields = _fields_decoder.decode(body)
        known = known_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _named(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(body, error) from None
    except RecursionError:
        raise invalid_request(TOO_DEEP) from None
    if not known.model:
        raise invalid_request("You must provide a 'model'.", "model")
    return fields, known


def check_utf8(body: bytes) -> None:
    """Raises UnicodeDecodeError. What is read raw would be found out late, by whoever reads it then."""
    if not body.isascii():
        body.decode()


def value_of(raw: msgspec.Raw, field: str) -> Any:
    """The value of a field that was read raw. Raises invalid_request for a number beyond all ranges and for endless nesting."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid_request(f"Invalid value in '{field}': {str(error).partition(' - at ')[0]}.", field) from None
    except RecursionError:
        raise invalid_request(f"'{field}' is nested too deeply.", field) from None


def _not_json(body: bytes, error: Exception) -> DomainError:
    cut = " It holds half of a surrogate pair: a client cut an emoji in two." if HALF_AN_EMOJI.search(body) else ""
    return invalid_request(f"The body is not valid JSON: {error}.{cut}")


def _named(error: msgspec.ValidationError) -> DomainError:
    """A msgspec message such as "Expected `int`, got `str` - at `$.n`" with the field as `param`."""
    message, _, path = str(error).partition(" - at `$")
    field = path.strip("`").lstrip(".").partition(".")[0].partition("[")[0] or None
    if field is None and "required field `model`" in message:
        return invalid_request("You must provide a 'model'.", "model")
    if field is None:
        return invalid_request("The body must be a JSON object.")
    return invalid_request(f"Invalid value for '{field}': {message}.", field)
