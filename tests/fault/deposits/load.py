"""Transactions and blocks on the sandbox chain, drawn from a seed: what customers send, and what others try."""

import random
from typing import Any, Final

from tests.fault.deposits.world import REVIEW_ABOVE_MICRO_USDT, DepositWorld

MICRO: Final = 1_000_000
REORGANISED_MAX: Final = 4


class Load:
    """One step after the other; `steps` counts them."""

    def __init__(self, world: DepositWorld, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self.steps = 0

    def step(self) -> None:
        """A transaction perhaps, blocks perhaps, now and then a reorganisation of what is not solid."""
        rng, chain = self._rng, self._world.chain
        self.steps += 1
        if rng.random() < 0.6:
            chain.send(**self._transaction())
        if rng.random() < 0.5:
            chain.mine(rng.randint(1, 3))
        if rng.random() < 0.05:
            chain.reorganise(rng.randint(1, REORGANISED_MAX), rng.choice(("drop", "move")))

    def _transaction(self) -> dict[str, Any]:
        rng = self._rng
        to, amount = rng.choice(self._world.ours).address, self._amount()
        kind = rng.random()
        if kind < 0.15:
            several = [
                {"to": rng.choice(self._world.ours).address, "amount_micro_usdt": self._amount()} for _ in range(3)
            ]
            return {"transfers": several}
        if kind < 0.30:
            trick = rng.choice(
                (
                    {"outcome": "REVERT"},
                    {"outcome": "OUT_OF_TIME"},
                    {"contract": "fake"},
                    {"outcome": "OUT_OF_ENERGY"},
                )
            )
            return {"to": to, "amount_micro_usdt": amount, **trick}
        if kind < 0.35:
            return {"to": to, "amount_micro_usdt": 0}
        if kind < 0.40:
            return {"to": to, "amount_sun": amount}
        return {"to": to, "amount_micro_usdt": amount}

    def _amount(self) -> int:
        kind = self._rng.random()
        if kind < 0.4:
            return self._rng.randint(1, MICRO - 1)
        if kind < 0.95:
            return self._rng.randint(MICRO, 500 * MICRO)
        return REVIEW_ABOVE_MICRO_USDT + self._rng.randint(0, 1)
