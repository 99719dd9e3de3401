"""The base images of an installation: each is made where it is missing, once, however many builds wait for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.builds.base import RECIPE, recipe_hash
from appliance.builds.base_making import Base, BaseMaker
from appliance.builds.buildx import Buildx
from appliance.builds.images import has_image
from appliance.infra.docker import Engine
from appliance.settings import Settings

Listener = Callable[[str], None]


@dataclass
class _Making:
    """One base image under way, and those who wait for it."""

    said: list[str] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    def say(self, text: str) -> None:
        self.said.append(text)
        for listener in self.listeners:
            listener(text)

    async def wait(self, task: "asyncio.Task[None]", on_line: Listener) -> None:
        """Wait for the end, reading along; the last to leave ends it."""
        for line in self.said:
            on_line(line)
        self.listeners.append(on_line)
        try:
            await asyncio.shield(task)
        finally:
            self.listeners.remove(on_line)
            if not self.listeners and not task.done():
                task.cancel()
                await asyncio.wait({task})


class BaseImages:
    """The base images of one installation."""

    def __init__(
        self, engine: Engine, buildx: Buildx, settings: Settings, *, owner: str
    ) -> None:
        """Keep the parts."""
        self._engine = engine
        self._buildx = buildx
        self._settings = settings
        self._owner = owner
        self._makings: dict[str, _Making] = {}

    async def ensure(self, on_line: Listener, platform: str | None = None) -> str:
        """Return a base image's tag, after making it if it is not there.

        Whoever waits reads the same lines. The work goes on while anybody waits, and
        stops with the last.

        Args:
            on_line: Told what happens.
            platform: A foreign one; ``None``: the box's own.

        Raises:
            EmulationMissingError: This box cannot run programs of the platform.
            BuildFailedError: It could not be made; says what is missing.
            EngineUnavailableError: The engine does not answer.
        """
        base = await asyncio.to_thread(self._read_recipe, platform)
        if await has_image(self._engine, base.tag):
            return base.tag
        making = self._makings.get(base.tag)
        if making is None or making.task is None or making.task.done():
            making = self._begin(base)
        which = f" for {platform}" if platform else ""
        on_line(
            f"The base image for servers{which} is not on this box yet; it is made once."
        )
        if making.task is not None:
            await making.wait(making.task, on_line)
        return base.tag

    def _begin(self, base: Base) -> _Making:
        making = self._makings[base.tag] = _Making()
        maker = BaseMaker(
            self._engine,
            self._buildx,
            self._settings,
            owner=self._owner,
            say=making.say,
        )
        making.task = asyncio.create_task(maker.make(base))
        return making

    def _read_recipe(self, platform: str | None) -> Base:
        files = {
            path.name: path.read_bytes() for path in RECIPE.iterdir() if path.is_file()
        }
        bundle = self._settings.ca_bundle
        certificates = bundle.read_bytes() if bundle.is_file() else b""
        recipe = recipe_hash(
            files,
            certificates=certificates,
            source=self._settings.build_base_source,
            image=self._settings.build_base_image,
        )
        return Base(recipe, files, certificates, platform)
