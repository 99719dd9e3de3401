"""How many builds run at once, and fairness among those who wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.builds.fairness import next_turn


class Slots:
    """A semaphore that takes turns between owners."""

    def __init__(self, count: int) -> None:
        """Have ``count`` builds at once."""
        self._free = count
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._running: Counter[int] = Counter()
        self._served: dict[int, int] = {}
        self._turns = 0

    @property
    def is_full(self) -> bool:
        """Whether whoever comes now has to wait."""
        return self._free == 0

    @asynccontextmanager
    async def slot(self, owner: int) -> AsyncIterator[None]:
        """Wait for a turn of ``owner``, and keep the slot meanwhile."""
        mine = (owner, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        self._hand_out()
        try:
            await mine[1]
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:  # it was given in the same moment
                self._give_back(owner)
            raise
        try:
            yield
        finally:
            self._give_back(owner)

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            owners = [owner for owner, _ in self._waiting]
            place = next_turn(owners, running=self._running, served=self._served)
            owner, turn = self._waiting.pop(place)
            self._free -= 1
            self._running[owner] += 1
            self._turns += 1
            self._served[owner] = self._turns
            turn.set_result(None)

    def _give_back(self, owner: int) -> None:
        self._free += 1
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if not self._waiting and not self._running:
            self._served.clear()  # nobody is left who could have been served later
        self._hand_out()
