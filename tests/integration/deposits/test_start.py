"""A database belongs to one xpub and one network; whatever is missing or another refuses the start, with the reason."""

import pytest

from tests.integration.deposits.conftest import Deposits
from tt_deposits.domain.derivation import AccountKey, WrongXpub
from tt_deposits.settings import NodeSettings

OTHER_XPUB = (
    "xpub6D1AabNHCupeiLM65ZR9UStMhJ1vCpyV4XbZdyhMZBiJXALQtmn9p42VTQckoHVn8WNqS7dqnJokZHAHcHGoaQgmv8D45oNUKx6DZMNZBCd"
)


async def test_the_first_start_pins_the_xpub_and_the_same_starts_again(idle_deposits: Deposits, xpub: str) -> None:
    for _ in range(2):
        await idle_deposits.start(xpub_fingerprint=AccountKey(xpub).fingerprint)
        await idle_deposits.stop()
    assert idle_deposits.rows("SELECT network, fingerprint FROM xpub_pin") == [
        ("sandbox", AccountKey(xpub).fingerprint)
    ]


async def test_another_xpub_than_the_databases_refuses_the_start(idle_deposits: Deposits, xpub: str) -> None:
    await idle_deposits.start()
    await idle_deposits.stop()
    with pytest.raises(RuntimeError, match=f"the database's addresses are of {AccountKey(xpub).fingerprint}"):
        await idle_deposits.start(xpub=OTHER_XPUB)


async def test_another_network_than_the_databases_refuses_the_start(idle_deposits: Deposits) -> None:
    await idle_deposits.start()
    await idle_deposits.stop()
    with pytest.raises(RuntimeError, match="DEPOSITS_NETWORK is nile, the database is of sandbox"):
        await idle_deposits.start(network="nile")


async def test_another_xpub_than_the_settings_name_refuses_the_start(idle_deposits: Deposits) -> None:
    with pytest.raises(RuntimeError, match="DEPOSITS_XPUB_FINGERPRINT says another"):
        await idle_deposits.start(xpub_fingerprint=AccountKey(OTHER_XPUB).fingerprint)
    assert idle_deposits.rows("SELECT * FROM xpub_pin") == []


async def test_no_xpub_no_nodes_or_a_key_that_is_not_there_refuse_the_start(idle_deposits: Deposits, xpub: str) -> None:
    nodes = idle_deposits.settings.nodes
    with pytest.raises(WrongXpub):
        await idle_deposits.start(xpub="")
    with pytest.raises(RuntimeError, match="names no node"):
        await idle_deposits.start(xpub=xpub, nodes=())
    keyed = NodeSettings(name="k", url=nodes[0].url, key_env="NO_SUCH_KEY")
    with pytest.raises(RuntimeError, match="NO_SUCH_KEY, the key of the node k, is not set"):
        await idle_deposits.start(nodes=(keyed,))


async def test_a_published_test_seed_is_no_account_for_real_money(idle_deposits: Deposits) -> None:
    with pytest.raises(RuntimeError, match="published test seed"):
        await idle_deposits.start(network="mainnet", xpub=OTHER_XPUB)

    assert idle_deposits.rows("SELECT count(*) FROM xpub_pin") == [(0,)]
