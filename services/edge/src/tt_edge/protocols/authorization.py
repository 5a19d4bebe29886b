"""API keys in the header that every protocol's SDKs can send."""

from typing import Final

from tt_edge.domain.refusals import invalid_key

BEARER_PLACE: Final = "the header 'Authorization: Bearer KEY'"


def bearer_key(headers: dict[bytes, bytes]) -> str | None:
    """The key of an Authorization header; None where there is no such header. Raises invalid_api_key where it is of another scheme."""
    header = headers.get(b"authorization")
    if header is None:
        return None
    scheme, _, key = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise invalid_key("The Authorization header must be 'Bearer KEY'.")
    return key
