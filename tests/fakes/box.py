"""Everything that the reconciler acts on, in memory, and able to die at any call.

``Mortal`` counts the calls that change or ask anything and raises ``KilledError`` around one of them: before it (nothing
happened) or after it (it happened, and nobody was told), which is what ``kill -9`` does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from appliance.builds.model import BuildRequest, BuiltImage, Stage, StageListener
from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.runtimes.model import (
    ExecutorDescriptor,
    Instance,
    InstanceSpec,
    InstanceState,
    LogLine,
    SecretValue,
)
from appliance.servers.mcp import Manifest, McpUnavailableError
from appliance.servers.traffic import Traffic
from tests.fakes.executor import IdleExecutor

P = ParamSpec("P")
T = TypeVar("T")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class KilledError(BaseException):
    """The process died here."""


@dataclass
class Mortal:
    """Dies around the ``at``-th call, if there is one."""

    at: int = 0
    after: bool = False
    calls: int = 0

    async def live(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call, or die around it."""
        self.calls += 1
        dies = self.calls == self.at
        if dies and not self.after:
            raise KilledError
        result = await call()
        if dies:
            raise KilledError
        return result


@dataclass
class MortalDatabase:
    """The real database behind a mortal caller."""

    real: Database
    mortal: Mortal

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.mortal.live(lambda: self.real.run(function, *args, **kwargs))

    async def run_as_one_moment(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.mortal.live(
            lambda: self.real.run_as_one_moment(function, *args, **kwargs)
        )


class MemoryExecutor(IdleExecutor):
    """Instances in a dictionary."""

    def __init__(self, mortal: Mortal) -> None:
        self.mortal = mortal
        self.there: dict[str, Instance] = {}
        #: What each start was given.
        self.secrets: list[tuple[SecretValue, ...]] = []
        self.starts = 0
        self.serial = 0
        #: What the next started instance does.
        self.exit_code: int | None = None
        #: Images whose instances end at once with exit code 1.
        self.broken: set[str] = set()
        #: What every instance prints.
        self.printed = "no such setting"
        #: What a start meets instead.
        self.refusal: DomainError | None = None

    @property
    def descriptor(self) -> ExecutorDescriptor:
        return ExecutorDescriptor("memory", frozenset(), frozenset())

    async def start(self, spec: InstanceSpec) -> Instance:
        async def start() -> Instance:
            if self.refusal is not None:
                raise self.refusal
            self.secrets.append(spec.secrets)
            found = self.there.get(spec.name)
            if found is None or found.state is InstanceState.EXITED:
                self.serial += 1
                code = 1 if spec.image in self.broken else self.exit_code
                found = Instance(
                    name=spec.name,
                    container_id=f"c{self.serial}",
                    server_id=spec.server_id,
                    deployment_id=spec.deployment_id,
                    state=InstanceState.RUNNING
                    if code is None
                    else InstanceState.EXITED,
                    exit_code=code,
                    started_at=NOON,
                    image_id=spec.image,
                    purpose=spec.purpose,
                    decision_id=spec.decision_id,
                )
                self.there[spec.name] = found
                self.starts += 1
            return found

        return await self.mortal.live(start)

    async def stop(self, name: str, *, grace_s: float = 10) -> None:  # noqa: ARG002 - the port
        async def stop() -> None:
            if name in self.there:
                self.there[name] = replace(
                    self.there[name], state=InstanceState.EXITED, exit_code=0
                )

        await self.mortal.live(stop)

    async def remove(self, name: str) -> None:
        async def remove() -> None:
            self.there.pop(name, None)

        await self.mortal.live(remove)

    async def remove_server(self, server_id: int) -> None:
        async def remove() -> None:
            self.there = {
                name: item
                for name, item in self.there.items()
                if item.server_id != server_id
            }

        await self.mortal.live(remove)

    async def instances(self, server_id: int | None = None) -> list[Instance]:
        async def look() -> list[Instance]:
            return [
                item
                for item in self.there.values()
                if server_id in {None, item.server_id}
            ]

        return await self.mortal.live(look)

    async def tail(self, name: str, *, lines: int = 50) -> list[LogLine]:  # noqa: ARG002 - the port
        return [LogLine(NOON, "stderr", self.printed)]

    def crash(self, *, with_engine: bool = False) -> None:
        """Let every instance end with exit code 1."""
        self.there = {
            name: replace(
                item,
                state=InstanceState.EXITED,
                exit_code=1,
                ended_with_engine=with_engine,
            )
            for name, item in self.there.items()
        }


@dataclass
class MemoryBuilds:
    """Builds that take no time."""

    mortal: Mortal
    built: list[int] = field(default_factory=list)
    failure: Exception | None = None
    #: When the package's version was published, as its image says.
    released: str = ""
    #: Asked for, by deployment.
    requests: dict[int, BuildRequest] = field(default_factory=dict)

    async def build(self, request: BuildRequest, on_stage: StageListener) -> BuiltImage:
        await on_stage(Stage.BUILDING)

        async def build() -> BuiltImage:
            if self.failure:
                raise self.failure
            if request.deployment_id not in self.built:
                self.built.append(request.deployment_id)
            self.requests[request.deployment_id] = request
            resolved = {"version": "1.0"}
            if self.released:
                resolved["released"] = self.released
            if as_of := getattr(request.source, "as_of", None):
                resolved["as_of"] = as_of.isoformat()
            return BuiltImage(f"sha256:{request.deployment_id}", resolved)

        return await self.mortal.live(build)


@dataclass
class MemoryTraffic:
    """The gateway's word on what still goes on."""

    mortal: Mortal
    #: Calls in flight at every instance that is left.
    calls: int = 0

    async def of(self, instance_id: int) -> Traffic:  # noqa: ARG002 - the gateway's question
        async def look() -> Traffic:
            return Traffic(is_left=True, calls=self.calls, streams=0)

        return await self.mortal.live(look)


@dataclass
class MemoryMcp:
    """Answers for whatever runs in the executor."""

    mortal: Mortal
    executor: MemoryExecutor
    is_silent: bool = False
    #: Whether what is asked is never answered at all.
    hangs: bool = False

    async def probe(self, name: str, **_: Any) -> Manifest:
        async def probe() -> Manifest:
            running = any(
                item.state is InstanceState.RUNNING and f"mcp-{name}-" in item.name
                for item in self.executor.there.values()
            )
            if self.hangs:
                await asyncio.Event().wait()
            if self.is_silent or not running:
                raise McpUnavailableError("Nothing answers.")
            return Manifest("2025-06-18", {"name": name}, {"tools": {}}, None, ())

        return await self.mortal.live(probe)
