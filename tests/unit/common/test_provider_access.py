"""Where a provider may be, and what it may be sent."""

from ipaddress import ip_network

import pytest

from tt_common.provider_access import is_among, is_private, key_variable, parse_provider_url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[fd00:ec2::254]/v1",
    ],
)
def test_the_addresses_of_clouds_metadata_are_no_providers(url: str) -> None:
    with pytest.raises(ValueError, match="link-local"):
        parse_provider_url(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "127.1", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "1.2.3", "256.1.1.1", "10.0.0.1."]
)
def test_an_address_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="four decimal numbers"):
        parse_provider_url(f"http://{host}/v1")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/v1",
        "http://user@a.example/v1",
        "http://a.example/v1?x=1",
        "http://a.example/v1#x",
        "http://a.example\\@b.example/v1",
        "http://a.example/v1\r\nX: y",
        "http://ä.example/v1",
        "http:///v1",
        "http://a.example:0/v1",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        parse_provider_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "::10.0.0.1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "localhost",
        "LOCALHOST.",
        "db.internal",
        "printer.local",
        "postgres",
    ],
)
def test_what_is_not_on_the_internet_is_private(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "2001:4860:4860::8888", "64:ff9b::8.8.8.8"])
def test_what_is_on_the_internet_is_not(host: str) -> None:
    assert not is_private(host)


def test_a_network_that_is_allowed_is_as_good_as_the_internet() -> None:
    allowed = [ip_network("10.1.0.0/16")]

    assert not is_private("10.1.2.3", allowed)
    assert is_private("10.2.2.3", allowed)
    assert is_private("127.0.0.1", allowed)
    assert not is_private("inference.internal", allowed)
    assert is_among("10.1.2.3", allowed)
    assert not is_among("10.2.2.3", allowed)
    assert not is_among("inference.internal", allowed)


@pytest.mark.parametrize(
    "key_ref", ["env:EDGE_NATS_URL", "env:PATH", "env:_API_KEY\n", "OPENAI_API_KEY", "sk-1", "env:a b_API_KEY", "env:"]
)
def test_only_what_is_named_an_api_key_can_be_sent_to_a_provider(key_ref: str) -> None:
    with pytest.raises(ValueError, match="_API_KEY"):
        key_variable(key_ref)


def test_a_key_reference_names_its_variable() -> None:
    assert key_variable("env:OPENAI_API_KEY") == "OPENAI_API_KEY"
