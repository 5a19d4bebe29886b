"""Who may call: state and expiry of the key, client addresses, model lists."""

from unittest.mock import AsyncMock

import pytest

from tests.unit.edge.samples import key
from tt_common.errors import DomainError
from tt_edge.domain.admission import check_address, check_key, check_model, client_address, may_use
from tt_edge.protocols.exchange import Exchange

PROXIES = ("10.0.0.0/8", "fd00::/8")


def test_an_active_key_passes_until_the_instant_it_expires() -> None:
    check_key(key(), 1)
    check_key(key(expires_at_ms=1000), 999)
    with pytest.raises(DomainError, match="expired") as caught:
        check_key(key(expires_at_ms=1000), 1000)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("status", ["disabled", "rotated", "deleted"])
def test_a_key_that_is_not_active_is_refused_with_the_reason(status: str) -> None:
    with pytest.raises(DomainError, match=status) as caught:
        check_key(key(status=status), 0)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "::ffff:c000:207"])
def test_an_address_in_the_list_passes(address: str) -> None:
    check_address(key(ip_ranges=("192.0.2.0/24", "2001:db8::/32")), address)
    check_address(key(ip_ranges=None), address)


@pytest.mark.parametrize("address", ["192.0.3.7", "2001:db9::1", "::ffff:192.0.3.7", "", "unknown"])
def test_any_other_address_is_refused(address: str) -> None:
    with pytest.raises(DomainError) as caught:
        check_address(key(ip_ranges=("192.0.2.0/24", "2001:db8::/32")), address)
    assert caught.value.code == "model_not_allowed"


def test_an_empty_list_allows_nobody() -> None:
    with pytest.raises(DomainError):
        check_address(key(ip_ranges=()), "192.0.2.7")
    assert not may_use(key(models=()), "gpt-4o-mini")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("fd00::1", "2001:db8::9", "2001:db8::9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, nonsense", "nonsense"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, ::ffff:10.0.0.2", "198.51.100.9"),
        ("::ffff:192.0.2.1", "198.51.100.9", "::ffff:192.0.2.1"),
    ],
)
def test_the_client_is_the_last_hop_that_no_trusted_proxy_vouches_for(
    peer: str, forwarded: str | None, address: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_several_lines_of_the_header_are_read_as_one() -> None:
    # given what the client itself sent, and a line that the first proxy added, and the address the second one appended to it
    lines = [(b"x-forwarded-for", b"203.0.113.5"), (b"via", b"x"), (b"x-forwarded-for", b"198.51.100.9, 10.0.0.2")]
    scope = {"method": "POST", "path": "/", "headers": lines, "client": ("10.0.0.1", 1)}
    exchange = Exchange(scope, AsyncMock(), AsyncMock())

    # then the last address that no trusted proxy has counts, whichever line it is in
    joined = exchange.joined_header(b"x-forwarded-for")
    assert client_address(exchange.client, joined, PROXIES) == "198.51.100.9"
    lines.reverse()
    assert client_address(exchange.client, exchange.joined_header(b"x-forwarded-for"), PROXIES) == "203.0.113.5"
    assert exchange.joined_header(b"x-real-ip") is None


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_address("10.0.0.1", "198.51.100.9", ()) == "10.0.0.1"


def test_a_model_list_names_what_may_be_used() -> None:
    # given
    limited = key(models=("gpt-4o-mini",))

    # then
    check_model(limited, "gpt-4o-mini")
    check_model(key(), "anything")
    with pytest.raises(DomainError, match="other") as caught:
        check_model(limited, "other")
    assert caught.value.code == "model_not_allowed"
    assert caught.value.data["param"] == "model"
