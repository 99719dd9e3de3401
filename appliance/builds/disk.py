"""Keeps room on the disk: whether a build may begin, and which images nobody needs any more."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import structlog

from appliance.builds import images
from appliance.builds.errors import DiskLowError, ImageQuotaError
from appliance.core import labels
from appliance.infra.docker import Engine
from appliance.settings import Settings

log = structlog.get_logger(__name__)

MIB = 1024**2
GIB = 1024**3

#: Returns the deployments whose images must stay: live, pending, wanted for going back to, or otherwise referred to.
Referred = Callable[[], Awaitable[Collection[int]]]


def unneeded(
    tags: Iterable[str], *, owner: str, referred: Collection[int]
) -> list[str]:
    """Return which of our images' names nothing refers to. Pure.

    Args:
        tags: Names of images on this box, whoever made them.
        owner: This installation's id.
        referred: Deployments whose images must stay.
    """
    return [
        tag
        for tag in tags
        if (deployment := labels.deployment_of(tag, owner)) is not None
        and deployment not in referred
    ]


def bytes_by_person(found: Iterable[dict[str, Any]], *, owner: str) -> dict[int, int]:
    """Return what everybody's images take, what they share with others left out. Pure.

    Args:
        found: Images as the engine counts their space.
        owner: This installation's id.
    """
    taken: dict[int, int] = {}
    for image in found:
        marks = image.get("Labels") or {}
        person = str(marks.get(labels.PERSON, ""))
        if marks.get(labels.OWNER) == owner and person.lstrip("-").isdecimal():
            own = max(0, int(image.get("Size", 0)) - max(0, int(image.get("SharedSize", 0))))  # fmt: skip
            taken[int(person)] = taken.get(int(person), 0) + own
    return taken


class Disk:
    """The disk of this box, as far as builds fill it.

    Args:
        referred: Tells which deployments' images must stay.
    """

    def __init__(
        self, engine: Engine, settings: Settings, *, owner: str, referred: Referred
    ) -> None:
        """Keep the parts; nothing is looked at yet."""
        self._engine = engine
        self._data_dir = settings.data_dir
        self._min_free_gib = settings.build_min_free_gib
        self._quota_mib = settings.build_quota_mib
        self._owner = owner
        self._referred = referred
        self._root: Path | None = None

    async def ensure_room(self, person: int) -> None:
        """Do nothing if a build of this person's server may begin.

        Raises:
            DiskLowError: Too little is free.
            ImageQuotaError: The person's images take as much as they may.
            EngineUnavailableError: The engine does not answer.
        """
        if self._min_free_gib:
            for place in await self.places():
                await self._ensure_free(place)
        if self._quota_mib:
            await self._ensure_quota(person)

    async def places(self) -> list[Path]:
        """Return where builds and servers write: DATA_DIR, and where the engine keeps its images; they may be the same disk.

        Raises:
            EngineUnavailableError: The engine does not answer, and has not said yet where that is.
        """
        if self._root is None:
            async with self._engine.reach() as client:
                info = await client.system.info()
            self._root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
        return [self._data_dir, self._root]

    async def _ensure_free(self, place: Path) -> None:
        try:
            usage = await asyncio.to_thread(shutil.disk_usage, place)
        except OSError:
            return  # an engine elsewhere keeps its images elsewhere
        if usage.free < self._min_free_gib * GIB:
            raise DiskLowError(
                f"{place} has {usage.free / GIB:.1f} GiB free, and a build begins with {self._min_free_gib} GiB or more.",
                hint="Delete servers or other files, lower BUILD_CACHE_GIB, or lower BUILD_MIN_FREE_GIB.",
            )

    async def _ensure_quota(self, person: int) -> None:
        taken = (await self.taken()).get(person, 0)
        if taken >= self._quota_mib * MIB:
            raise ImageQuotaError(
                f"The images of this server's owner take {taken // MIB} MiB, and {self._quota_mib} MiB are allowed.",
                hint="Delete servers that are not needed; an administrator can raise BUILD_QUOTA_MIB.",
            )

    async def taken(self) -> dict[int, int]:
        """Return what everybody's images take, by whose builds they are.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        async with self._engine.stream("system/df", {"type": "image"}) as body:
            found = json.loads(await body.read())
        return bytes_by_person(found.get("Images") or [], owner=self._owner)

    async def prune_images(self) -> int:
        """Remove the images that no deployment refers to; return how many names went."""
        # Asked for first: a deployment that comes in between is newer than what is looked at, and stays.
        async with self._engine.reach() as client:
            found = await client.images.list()
        tags = [tag for image in found for tag in image.get("RepoTags") or []]
        referred = await self._referred()
        gone = unneeded(tags, owner=self._owner, referred=referred)
        for tag in gone:
            await images.untag(self._engine, tag)
        if gone:
            log.info("build_images_pruned", images=len(gone))
        return len(gone)
