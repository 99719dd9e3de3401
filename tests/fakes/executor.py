"""An executor on which nothing runs: for tests of what people ask for, not of what becomes of it."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime

from appliance.runtimes.isolation import DataUse, Tier
from appliance.runtimes.model import (
    ExecutorDescriptor,
    ExecutorEvent,
    Instance,
    InstanceSpec,
    InstanceState,
    LogLine,
    SessionContainer,
)
from appliance.runtimes.pressure import Pressure

PRINTED = [
    LogLine(
        datetime(2026, 1, 1, 12, 0, 0, number, tzinfo=UTC), "stderr", f"line {number}"
    )
    for number in (1, 2, 3)
]
#: What a stdio server says to its clients, between the others.
TRAFFIC = LogLine(
    datetime(2026, 1, 1, 12, 0, 0, 2, tzinfo=UTC), "stdout", '{"jsonrpc":"2.0"}'
)
#: The container that one session of every server has.
SESSION = SessionContainer(
    "5e55105e55105e55",
    "mcp-clock-1",
    "c0ffee" * 10,
    is_running=True,
    created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)
ALL = [*PRINTED[:2], TRAFFIC, PRINTED[2]]


class IdleExecutor:
    """Starts nothing; every instance has printed the same three lines."""

    name = "idle"

    async def describe(self) -> ExecutorDescriptor:
        return ExecutorDescriptor(
            self.name, frozenset({"image-build"}), frozenset({Tier.STANDARD})
        )

    async def states(self) -> Mapping[str, tuple[int, InstanceState]]:
        return {}

    async def data_uses(self, server_ids: Collection[int]) -> Mapping[int, DataUse]:
        return {item: DataUse(1000, 999) for item in server_ids}

    async def pressures(self, container_ids: Collection[str]) -> Mapping[str, Pressure]:
        return dict.fromkeys(container_ids, Pressure(processes=3))

    async def check(self) -> str:
        return "idle"

    async def start(self, spec: InstanceSpec) -> Instance:
        raise AssertionError(f"{spec.name} was started")

    async def stop(self, name: str, *, grace_s: float = 10) -> None:
        """Nothing runs."""

    async def remove(self, name: str) -> None:
        """Nothing is there."""

    async def remove_server(self, server_id: int) -> None:
        """Nothing is there."""

    async def image_id(self, reference: str) -> str:
        return reference

    async def remove_image(self, reference: str) -> None:
        """Nothing is there."""

    async def instances(self, server_id: int | None = None) -> list[Instance]:  # noqa: ARG002 - the port
        return []

    async def sessions(self, server_id: int) -> list[SessionContainer]:  # noqa: ARG002 - the port
        return [SESSION]

    async def tail(self, name: str, *, lines: int = 50) -> list[LogLine]:  # noqa: ARG002 - the port
        return ALL[-lines:]

    async def follow(self, name: str, *, lines: int = 200) -> AsyncIterator[LogLine]:  # noqa: ARG002 - the port
        for line in ALL[-lines:]:
            yield line

    async def events(self) -> AsyncIterator[ExecutorEvent]:
        nothing: list[ExecutorEvent] = []
        for event in nothing:
            yield event
