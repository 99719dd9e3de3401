"""Looking into an image without starting anything of it."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiodocker
from aiodocker.containers import DockerContainer

import appliance
from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.evidence.errors import ImageGoneError, UnreadableImageError
from appliance.evidence.scanning import Inventory
from appliance.infra import process
from appliance.infra.docker import Engine, is_missing, words

#: What a helper container is for, in its label.
HELPER = "evidence"
SCAN_TIMEOUT_S = 600.0
#: The scanner runs as a module of the very code that calls it.
_ROOT = Path(appliance.__file__).parent.parent


class ImageFiles:
    """Reads what images hold.

    Args:
        owner: This installation's id; helper containers carry it.
    """

    def __init__(self, engine: Engine, *, owner: str) -> None:
        """Keep the parts."""
        self._engine = engine
        self._owner = owner
        # One image at a time: it costs a core for some seconds, and nobody waits for it.
        self._turn = asyncio.Semaphore(1)

    async def inventory(self, image_id: str, *, run_id: int) -> Inventory:
        """Return what an image holds.

        Raises:
            ImageGoneError: It is not on this box.
            UnreadableImageError: Its files cannot be read within the limits.
            EngineUnavailableError: The engine does not answer.
        """
        async with self._turn:
            return await self._inventory(image_id, run_id)

    async def _inventory(self, image_id: str, run_id: int) -> Inventory:
        await self._remove_helpers(run_id)
        directory = await asyncio.to_thread(tempfile.TemporaryDirectory)
        try:
            async with self._helper(image_id, run_id) as container:
                out = Path(directory.name) / "inventory.json"
                await self._scan(container, out)
                return await asyncio.to_thread(_read, out)
        finally:
            await asyncio.to_thread(directory.cleanup)

    async def digest(self, reference: str) -> str:
        """Return an image's digest in the registry that it came from, else the engine's id of it; empty: it is gone."""
        async with self._engine.reach() as client:
            try:
                found: dict[str, Any] = await client.images.inspect(reference)
            except aiodocker.DockerError as error:
                if is_missing(error):
                    return ""
                raise
        digests = found.get("RepoDigests") or []
        return str(digests[0].partition("@")[2] if digests else found["Id"])

    async def _scan(self, container: str, out: Path) -> None:
        argv = [
            sys.executable, "-m", "appliance.evidence.scan",
            await self._engine.address(), container, str(out),
        ]  # fmt: skip
        try:
            done = await process.run(argv, cwd=_ROOT, timeout_s=SCAN_TIMEOUT_S)
        except process.ProgramTimeoutError as error:
            raise UnreadableImageError(
                f"Looking through the image took longer than {SCAN_TIMEOUT_S:g} seconds."
            ) from error
        if done.code:
            said = done.lines[-1] if done.lines else f"exit code {done.code}"
            raise UnreadableImageError(f"The image's files cannot be read: {said}")

    @asynccontextmanager
    async def _helper(self, image_id: str, run_id: int) -> AsyncIterator[str]:
        """Give a container of the image that is never started, and remove it."""
        config: dict[str, Any] = {
            "Image": image_id,
            # Never run, but an image without a command makes no container.
            "Entrypoint": ["/evidence"],
            "Labels": {
                labels.OWNER: self._owner,
                labels.RUN: str(run_id),
                labels.HELPER: HELPER,
            },
            "HostConfig": {"NetworkMode": "none"},
        }
        # Not to be broken off: the engine would go on, and nobody would know the container.
        creating = asyncio.ensure_future(self._create(config))
        try:
            yield (await asyncio.shield(creating)).id
        finally:
            await asyncio.shield(_remove(creating))

    async def _create(self, config: dict[str, Any]) -> DockerContainer:
        async with self._engine.reach() as client:
            try:
                return await client.containers.create(config)
            except aiodocker.DockerError as error:
                if is_missing(error):
                    raise ImageGoneError(
                        f"The image {config['Image']} is no longer on this box, so nobody can say what was in it.",
                        hint="Redeploy the server.",
                    ) from error
                raise UnreadableImageError(
                    f"The engine does not open the image: {words(error)}."
                ) from error

    async def _remove_helpers(self, run_id: int) -> None:
        """Remove what an attempt left that was killed."""
        wanted = [
            f"{labels.OWNER}={self._owner}",
            f"{labels.RUN}={run_id}",
            f"{labels.HELPER}={HELPER}",
        ]
        async with self._engine.reach() as client:
            for container in await client.containers.list(
                all=True, filters=json.dumps({"label": wanted})
            ):
                with contextlib.suppress(aiodocker.DockerError):
                    await container.delete(force=True)


async def _remove(creating: "asyncio.Future[DockerContainer]") -> None:
    """Remove a container as soon as it is made; one that could not be made needs nothing."""
    with contextlib.suppress(DomainError, aiodocker.DockerError):
        await (await creating).delete(force=True)


def _read(path: Path) -> Inventory:
    return Inventory.of_json(json.loads(path.read_text()))
