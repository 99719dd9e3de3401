"""What this box's builder can do, found out by asking it and its engine."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.builds.buildx import find_buildx
from appliance.builds.errors import BuildToolError
from appliance.core.platforms import KNOWN, platform_of
from appliance.infra import process
from appliance.infra.docker import Engine

#: Seconds that an answer is good for: a builder may be replaced, emulation installed.
FRESH_FOR_S = 60.0
PATIENCE_S = 30.0
#: How the engine names its newer image store among its driver's properties.
_CONTAINERD_STORE = "io.containerd.snapshotter.v1"


@dataclass(frozen=True)
class Abilities:
    """What a builder can do."""

    #: Name of the builder, and of buildx's driver behind it.
    builder: str
    driver: str
    engine_version: str
    #: What runs on this box.
    native: str
    #: What its ``RUN`` can run, be it by emulation.
    platforms: tuple[str, ...]
    has_containerd_store: bool

    @property
    def builds_several_at_once(self) -> bool:
        """Whether one build may make an image of several platforms."""
        return self.driver != "docker" or self.has_containerd_store

    def shortcomings(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Return in words what it cannot do.

        Args:
            targets: Platforms that are wanted.
        """
        found = []
        if not self.builds_several_at_once:
            found = [
                "cannot build several platforms at once: each is built by itself",
                "cannot attest: SBOM and provenance are written by the appliance",
            ]
        missing = [target for target in targets if target not in self.platforms]
        if missing:
            found.append(f"has no emulation for {', '.join(missing)}")
        return tuple(found)

    def sentence(self, targets: tuple[str, ...]) -> str:
        """Return all of it for a person."""
        told = f"buildx builds with the driver {self.driver}, engine {self.engine_version}, for {', '.join(targets)}."
        short = self.shortcomings(targets)
        return f"{told} It {'; it '.join(short)}." if short else told


def read_inspection(text: str) -> dict[str, str]:
    """Return name, driver and platforms out of what ``buildx inspect`` prints. Pure."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in {"Name", "Driver", "Platforms"}:
            found.setdefault(name.strip(), value.strip())
    return found


def abilities_of(inspection: str, info: Mapping[str, Any]) -> Abilities:
    """Return what a builder can do. Pure.

    Args:
        inspection: What ``buildx inspect`` printed.
        info: What the engine says of itself.
    """
    told = read_inspection(inspection)
    native = platform_of(str(info.get("Architecture", "")))
    listed = [name.strip(" *") for name in told.get("Platforms", "").split(",")]
    known = [platform_of(name) for name in listed if name in KNOWN]
    store = [pair[1] for pair in info.get("DriverStatus") or [] if len(pair) > 1]
    return Abilities(
        builder=told.get("Name", "default"),
        driver=told.get("Driver", "docker"),
        engine_version=str(info.get("ServerVersion", "")),
        native=native,
        platforms=tuple(dict.fromkeys((native, *known))),
        has_containerd_store=_CONTAINERD_STORE in store,
    )


class Driver:
    """The builder that is configured.

    Args:
        builder: Its name; ``None``: the engine's own.
    """

    def __init__(self, engine: Engine, builder: str | None) -> None:
        """Keep the parts; nothing is asked yet."""
        self._engine = engine
        self._builder = builder or "default"
        self._known: Abilities | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[Abilities] | None = None

    async def abilities(self) -> Abilities:
        """Return what it could do when it was asked last; nobody waits for a second asking.

        Raises:
            BuildToolError: There is no such builder, or no buildx.
            EngineUnavailableError: The engine does not answer.
        """
        known = self._known
        if known is not None and time.monotonic() - self._asked_at < FRESH_FOR_S:
            return known
        asking = self._ask_once()
        # It goes on whoever stops waiting: a box under load may take longer than one of them has.
        return known if known is not None else await asyncio.shield(asking)

    def _ask_once(self) -> "asyncio.Task[Abilities]":
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._keep)
        return self._asking

    def _keep(self, asked: "asyncio.Task[Abilities]") -> None:
        failed = asked.cancelled() or asked.exception() is not None
        self._known = None if failed else asked.result()
        self._asked_at = time.monotonic()

    async def _ask(self) -> Abilities:
        async with self._engine.reach() as client:
            info = await client.system.info()
        program = await asyncio.to_thread(find_buildx)
        try:
            finished = await process.run(
                [*program, "inspect", self._builder],
                environment={"DOCKER_HOST": await self._engine.address()},
                timeout_s=PATIENCE_S,
            )
        except process.ProgramMissingError as error:
            raise BuildToolError(
                error.detail, hint="Install Docker's buildx plugin."
            ) from error
        if finished.code:
            raise BuildToolError(
                f"buildx knows no builder {self._builder}: {finished.text[-300:]}",
                hint="docker buildx ls shows what there is; BUILDX_BUILDER names the one to use.",
            )
        return abilities_of(finished.text, info)
