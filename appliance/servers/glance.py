"""Looks at all servers at once, every half minute, and has those reconciled that are not as they should be.

Reconciling one takes several questions to the engine and to Postgres; of a hundred servers that rest that is most of what
the hub does. Here one question to each tells who rests.
"""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import UnavailableError
from appliance.infra.database import Database, proxy
from appliance.jobs.queue import enqueue
from appliance.runtimes.model import InstanceState
from appliance.runtimes.ports import Executor
from appliance.servers.service import RECONCILE, lane_of
from appliance.servers.tasks import Sweep

#: In so many looks everybody has had a turn at being reconciled, whatever the rule of rest misses.
LOOKS_FOR_ALL = 10

_SERVERS = """
SELECT s.id, s.desired_state, s.status,
    EXISTS (SELECT FROM deployments d WHERE d.server_id = s.id AND d.state = 'pending')
        OR EXISTS (SELECT FROM server_health h WHERE h.server_id = s.id AND h.state = 'failing'),
    ARRAY(SELECT i.container_id FROM instances i WHERE i.server_id = s.id AND i.deployment_id = s.deployment_id
        AND i.leaving_since IS NULL),
    (SELECT count(*) FROM instances i WHERE i.server_id = s.id)
FROM servers s
"""

#: Of each container of the engine: whose it is, and how it is.
States = Mapping[str, tuple[int, InstanceState]]


class Glance:
    """Asks for the reconciliation of every server that does not rest, and of a part of the others in turn.

    Args:
        database: Says what is wanted.
        executor: Says what runs.
        sweep: Asks for everybody's reconciliation: at the first look, and while the executor does not answer.
    """

    def __init__(self, database: Database, executor: Executor, sweep: Sweep) -> None:
        """Keep the collaborators."""
        self._database = database
        self._executor = executor
        self._sweep = sweep
        self._looks = 0

    async def __call__(self) -> None:
        """Look once."""
        states = await self._states() if self._looks else None
        turn = self._looks % LOOKS_FOR_ALL
        self._looks += 1
        if states is None:
            await self._sweep()
        else:
            await self._database.run(_enqueue_some, states, turn)

    async def _states(self) -> States | None:
        """Return what the engine has; ``None`` while it does not answer, which each server then says in its status."""
        try:
            return await self._executor.states()
        except UnavailableError:
            return None


def _enqueue_some(states: States, turn: int) -> None:
    of_server: dict[int, dict[str, InstanceState]] = {}
    for container_id, (server_id, state) in states.items():
        of_server.setdefault(server_id, {})[container_id] = state
    for server_id, *row in proxy.execute_sql(_SERVERS).fetchall():
        is_its_turn = server_id % LOOKS_FOR_ALL == turn
        if is_its_turn or not rests(row, of_server.get(server_id, {})):
            enqueue(RECONCILE, {"server_id": server_id}, lane=lane_of(server_id))


def rests(row: list[Any], containers: Mapping[str, InstanceState]) -> bool:
    """Tell whether nothing is to be done for a server. Pure.

    Args:
        row: What is wanted, what is, whether something is pending, the containers that are routed to, and how many
            instances the gateway was told of.
        containers: What the engine has of it.
    """
    desired, status, is_pending, routed, told = row
    if is_pending or desired != status:
        return False
    if desired == "stopped":
        return not containers and not told
    if told != 1 or len(routed) != 1:
        return False
    if not routed[0]:  # somebody else runs it
        return not containers
    return dict(containers) == {routed[0]: InstanceState.RUNNING}
