"""One sandbox chain for all tests of it, driven by command; each test goes on where the one before left it, without its faults."""

from collections.abc import Iterator

import pytest

from tests.support.chain import Chain, chain_process


@pytest.fixture(scope="session")
def lasting_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with chain_process(tmp_path_factory.mktemp("chain")) as service, Chain(service.url) as chain:
        yield chain


@pytest.fixture
def chain(lasting_chain: Chain) -> Chain:
    lasting_chain.heal()
    lasting_chain.solidify()
    return lasting_chain
