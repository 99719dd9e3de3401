"""What builds ask of the engine: is an image there, pull it, what is in it."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiodocker

from appliance.builds.failures import disk_full, explain_pull
from appliance.core import labels
from appliance.infra.archive import read_file
from appliance.infra.docker import Engine, is_missing, words

MAX_RESOLVED_BYTES = 64 * 1024
MAX_LOCK_BYTES = 4 * 1024**2
SERVER = "/opt/mcp/server"
#: The names that a lock may have.
LOCKS = ("requirements.txt", "package-lock.json")
MAX_TEXT = 4096
_TOLD = ("Pulling from", "Digest:", "Status:", "Pull complete", "Already exists")


async def inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    """Return what the engine says of an image; ``None``: it is not on this box."""
    async with engine.reach() as client:
        try:
            found: dict[str, Any] = await client.images.inspect(reference)
        except aiodocker.DockerError as error:
            if is_missing(error):
                return None
            raise
    return found


async def has_image(engine: Engine, reference: str) -> bool:
    """Tell whether an image is on this box."""
    return await inspect(engine, reference) is not None


async def pull(
    engine: Engine, reference: str, *, on_line: Callable[[str], None]
) -> None:
    """Pull an image.

    Raises:
        ImageNotFoundError: Its registry has no such image, or not for this box.
        NetworkUnreachableError: Its registry could not be reached.
        DiskFullError: The engine has no room for it.
    """
    async with engine.reach(timeout_s=None) as client:
        try:
            async for item in client.images.pull(reference, stream=True):
                status = str(item.get("status", ""))
                if status.startswith(_TOLD):
                    on_line(f"{item['id']}: {status}" if item.get("id") else status)
        except aiodocker.DockerError as error:
            message = words(error)
            if "no space left" in message:
                raise disk_full([message]) from error
            raise explain_pull(reference, message) from error


async def tag(engine: Engine, image_id: str, name: str) -> None:
    """Give an image one more name."""
    repository, _, version = name.rpartition(":")
    async with engine.reach() as client:
        await client.images.tag(image_id, repository, tag=version)


async def untag(engine: Engine, name: str) -> None:
    """Take a name from an image, and remove the image with its last; not there or in use: nothing to do."""
    async with engine.reach() as client:
        with contextlib.suppress(aiodocker.DockerError):
            await client.images.delete(name)


async def read_resolved(
    engine: Engine, image_id: str, *, owner: str, deployment_id: int
) -> tuple[dict[str, Any], str]:
    """Return what the installer wrote into an image, and its lock (empty: none), without starting anything of it."""
    config: dict[str, Any] = {
        "Image": image_id,
        "Labels": {
            labels.OWNER: owner,
            labels.DEPLOYMENT: str(deployment_id),
            labels.HELPER: "resolved",
        },
        "HostConfig": {"NetworkMode": "none"},
    }
    async with engine.reach() as client:
        helper = await client.containers.create(config)
        try:
            resolved = parse_resolved(
                await read_file(
                    engine,
                    helper.id,
                    f"{SERVER}/resolved.json",
                    limit=MAX_RESOLVED_BYTES,
                )
            )
            lock = b""
            if name := resolved.get("lock"):
                path = f"{SERVER}/{name}"
                lock = (
                    await read_file(engine, helper.id, path, limit=MAX_LOCK_BYTES)
                    or b""
                )
        finally:
            with contextlib.suppress(aiodocker.DockerError):
                await asyncio.shield(helper.delete(force=True))
    # NUL is nothing that Postgres keeps as text.
    return resolved, lock.decode(errors="replace").replace("\0", "")


def parse_resolved(found: bytes | None) -> dict[str, Any]:
    """Return the texts of a ``resolved.json``. Pure: what a build wrote is a stranger's word, so only short texts pass."""
    try:
        data = json.loads(found or b"{}")
    except ValueError:
        return {}
    if not isinstance(data, dict):
        return {}
    texts = {
        key: value
        for key in ("version", "entry", "released", "lock")
        if isinstance(value := data.get(key), str) and 0 < len(value) <= MAX_TEXT
    }
    if texts.get("lock") not in LOCKS:
        texts.pop("lock", None)
    if not _is_moment(texts.get("released", "")):
        texts.pop("released", None)
    return {**texts, "kept": True} if data.get("kept") is True else texts


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


async def prune_cache(engine: Engine, *, keep_bytes: int) -> int:
    """Remove what was not used for longest from the engine's build cache, and return the bytes that came free.

    The engine has one cache, whoever built: what others left there counts too.
    """
    # Newer engines call keep-storage reserved-space, and take either.
    params = {"all": "1", "keep-storage": str(keep_bytes)}
    async with engine.stream("build/prune", params, method="POST") as body:
        found = json.loads(await body.read())
    return int(found.get("SpaceReclaimed", 0))


async def remove_helpers(engine: Engine, *, owner: str, deployment_id: int) -> None:
    """Remove the helper containers that a killed attempt left."""
    wanted = [
        f"{labels.OWNER}={owner}",
        f"{labels.DEPLOYMENT}={deployment_id}",
        labels.HELPER,
    ]
    async with engine.reach() as client:
        for container in await client.containers.list(
            all=True, filters=json.dumps({"label": wanted})
        ):
            with contextlib.suppress(aiodocker.DockerError):
                await container.delete(force=True)
