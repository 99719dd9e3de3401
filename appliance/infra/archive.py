"""Reading one small file out of a container that need not run, and making the tar that changes one directory's owner."""

import asyncio
import io
import tarfile

import aiodocker

from appliance.infra.docker import Engine

_BLOCK = 512


async def read_file(
    engine: Engine, container_id: str, path: str, *, limit: int = 1024 * 1024
) -> bytes | None:
    """Return the content of a regular file in a container; ``None`` if there is none there or it is above ``limit`` bytes.

    Raises:
        EngineUnavailableError: The engine does not answer.
    """
    collected = bytearray()
    try:
        async with engine.stream(
            f"containers/{container_id}/archive", {"path": path}
        ) as body:
            async for chunk in body.iter_any():
                collected += chunk
                # Two blocks of header at most, and the padding: whatever comes after is
                # not the file.
                if len(collected) > limit + 4 * _BLOCK:
                    return None
    except aiodocker.DockerError:
        return None
    # The file is in memory, but tarfile's own reader may block for all that a watchful
    # loop knows.
    return await asyncio.to_thread(_only_file, bytes(collected), limit)


async def has_file(engine: Engine, container_id: str, path: str) -> bool:
    """Return whether there is something at ``path`` in a container, be it a link.

    Raises:
        EngineUnavailableError: The engine does not answer.
    """
    try:
        async with engine.stream(
            f"containers/{container_id}/archive", {"path": path}, method="HEAD"
        ):
            return True
    except aiodocker.DockerError:
        return False


def _only_file(data: bytes, limit: int) -> bytes | None:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = archive.next()
            if member is None or not member.isreg() or member.size > limit:
                return None
            found = archive.extractfile(member)
            return found.read() if found else None
    except tarfile.TarError:
        return None


def directory_entry(name: str, *, uid: int, gid: int, mode: int) -> bytes:
    """Return a tar of one directory, which sets owner and mode where it is unpacked over one that exists."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.uid, entry.gid, entry.mode = uid, gid, mode
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(entry)
    return buffer.getvalue()
