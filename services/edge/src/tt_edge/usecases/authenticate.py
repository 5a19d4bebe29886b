"""Who is calling? From memory; a key that is not known here is looked up once before it is refused."""

from tt_common.clock import now_ms
from tt_common.contracts.records import KeyRecord
from tt_common.ids import sha256_hex
from tt_edge.domain.admission import check_address, check_key, client_address
from tt_edge.domain.refusals import invalid_key, keys_not_loaded, missing_key
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.port import ClientProtocol
from tt_edge.usecases.gateway import Gateway


async def authenticate(gateway: Gateway, exchange: Exchange, protocol: ClientProtocol) -> KeyRecord:
    """The key's record. Raises invalid_api_key, model_not_allowed (address), not_ready while keys are not loaded."""
    plaintext = protocol.key_of(exchange.headers, exchange.query)
    if plaintext is None:
        raise missing_key(protocol.key_place, gateway.limits.key_prefixes)
    key = gateway.keys.get(sha256_hex(plaintext))
    if key is None:
        key = await _unknown(gateway, plaintext)
    check_key(key, now_ms())
    if key.ip_ranges is not None:
        address = client_address(
            exchange.client, exchange.joined_header(b"x-forwarded-for"), gateway.limits.trusted_proxies
        )
        check_address(key, address)
    return key


async def _unknown(gateway: Gateway, plaintext: str) -> KeyRecord:
    stripped = "".join(plaintext.split())
    if stripped != plaintext and gateway.keys.get(sha256_hex(stripped)) is not None:
        raise invalid_key("The API key has extra whitespace in or around it; remove it.")
    if not gateway.keys.current:
        raise keys_not_loaded()
    key = await gateway.keys.look_up(sha256_hex(plaintext))
    if key is None:
        if not gateway.keys.current:
            raise keys_not_loaded()
        raise invalid_key("Incorrect API key. Check that it was copied whole, and that it was not deleted.")
    return key
