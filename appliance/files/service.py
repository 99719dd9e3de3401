"""What people do with the files of a server, whether it runs or not."""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError
from appliance.core.units import size
from appliance.files.errors import FilesFullError, NoFilesError, told
from appliance.files.model import Folder, Fullness, Place, Stored
from appliance.files.paths import Parts, check_new, shown
from appliance.infra.database import Database
from appliance.observability import audit
from appliance.runtimes.errors import VolumeRefusedError
from appliance.runtimes.ports import OpenVolume, Volumes
from appliance.runtimes.volume_model import Entry, Incoming, ListFrom

#: Tells where a server's files are; runs inside ``database.run``, and refuses whoever may not see or change it.
Find = Callable[[Principal, int | str], Place]


@dataclass
class _Arrivals:
    """What comes into one server's ``/data`` at the moment."""

    uploads: int = 0
    #: Used when the first of them began, and what came since.
    used_bytes: int = 0
    came_bytes: int = 0


@dataclass(frozen=True)
class OpenFile:
    """A file that is held open, and stays the same whatever happens to its name."""

    stored: Stored
    volume: OpenVolume

    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of it; less if the server shortened it."""
        return self.volume.read(offset, length)


class FileService:
    """Lists, brings, fetches and removes files on behalf of a principal.

    Args:
        database: The trail is in it.
        volumes: Opens servers' volumes.
        seen: Finds a server that the principal may see.
        changed: Finds a server that the principal may change.
        filled: The same, where something is brought; refuses also where nothing more may be kept.
        quota_bytes: What may lie in a server's ``/data`` if its own configuration does not say.
        upload_bytes: What one file may have.
    """

    def __init__(  # noqa: PLR0913 - each is what the room does not know
        self,
        database: Database,
        volumes: Volumes,
        *,
        seen: Find,
        changed: Find,
        quota_bytes: int,
        upload_bytes: int,
        filled: Find | None = None,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._volumes = volumes
        self._seen = seen
        self._changed = changed
        self._filled = filled or changed
        self._quota_bytes = quota_bytes
        self._upload_bytes = upload_bytes
        self._arrivals: dict[int, _Arrivals] = defaultdict(_Arrivals)

    # -- looking

    async def list(
        self,
        principal: Principal,
        server: int | str,
        path: Parts,
        *,
        cursor: str = "",
        limit: int = 200,
    ) -> Folder:
        """Return a part of a folder: folders first, then by name."""
        place = await self._database.run(self._seen, principal, server)
        after = _after(cursor)
        async with self._open(place, path) as volume:
            listing = await volume.list(path, after, limit)
            fullness = None if after else await self._fullness(place, volume)
        return Folder(path, listing, fullness)

    async def look(
        self, principal: Principal, server: int | str, path: Parts
    ) -> Stored:
        """Return a file with its checksum, for which all of it is read."""
        async with self.fetch(principal, server, path, checksum=True) as file:
            return file.stored

    @asynccontextmanager
    async def fetch(
        self, principal: Principal, server: int | str, path: Parts, *, checksum: bool
    ) -> AsyncGenerator[OpenFile]:
        """Give an open file.

        Args:
            principal: Who wants it.
            server: Whose it is.
            path: Where it is.
            checksum: Whether its checksum is wanted, for which all of it is read first.
        """
        place = await self._database.run(self._seen, principal, server)
        async with self._open(place, path) as volume:
            if not path:
                await volume.list(path, None, 1)
                raise InvalidError.field("path", "must name a file")
            entry, sha256 = await volume.open(path, checksum=checksum)
            yield OpenFile(Stored(path, entry, sha256), volume)

    # -- changing

    async def bring(  # noqa: PLR0913 - what is said of a file before it comes
        self,
        principal: Principal,
        server: int | str,
        path: Parts,
        pieces: AsyncIterator[bytes],
        *,
        overwrite: bool = False,
        size_bytes: int | None = None,
        sha256: str = "",
    ) -> Stored:
        """Store a file as it comes, with the folders on its way; it has its name only once it is whole.

        Args:
            principal: Who brings it.
            server: To whom.
            path: Where it will be.
            pieces: Its content.
            overwrite: Whether a file that is there is replaced.
            size_bytes: What is said of its size; too large a file is then refused before it comes.
            sha256: What it must have, in hex; empty: anything.

        Raises:
            NameTakenError: Something has the name already.
            FilesFullError: There is no room for it; says how much there is.
            ChecksumError: Something else came; nothing was stored.
        """
        place = await self._database.run(self._filled, principal, server)
        check_new(path)
        async with (
            self._open(place, path) as volume,
            self._arriving(place, volume) as (
                arrivals,
                fullness,
            ),
        ):
            self._refuse_too_large(size_bytes or 0, fullness)
            incoming = Incoming(
                overwrite=overwrite,
                parents=True,
                limit_bytes=min(fullness.free_bytes, self._upload_bytes),
                size_bytes=size_bytes,
                sha256=sha256,
            )
            counted = self._counted(pieces, arrivals, fullness)
            entry, digest = await volume.write(path, incoming, counted)
        said = {"size_bytes": entry.size_bytes, "sha256": digest}
        await self._tell(principal, place, "files.upload", path, **said)
        return Stored(path, entry, digest)

    async def make_folder(
        self, principal: Principal, server: int | str, path: Parts
    ) -> Entry:
        """Make a folder, and those on its way."""
        place = await self._database.run(self._changed, principal, server)
        check_new(path)
        async with self._open(place, path) as volume:
            made = await volume.make_folder(path, parents=True)
        await self._tell(principal, place, "files.make_folder", path)
        return made

    async def remove(
        self,
        principal: Principal,
        server: int | str,
        path: Parts,
        *,
        recursive: bool = False,
    ) -> int:
        """Remove a file, a link, an empty folder, or with ``recursive`` any folder; return how many entries went."""
        place = await self._database.run(self._changed, principal, server)
        if not path:
            raise InvalidError.field("path", "must name something below /data")
        async with self._open(place, path) as volume:
            removed = await volume.remove(path, recursive=recursive)
        await self._tell(principal, place, "files.remove", path, entries=removed)
        return removed

    async def move(
        self,
        principal: Principal,
        server: int | str,
        path: Parts,
        to: Parts,
        *,
        overwrite: bool = False,
    ) -> Entry:
        """Give something another name or place."""
        place = await self._database.run(self._changed, principal, server)
        if not path:
            raise InvalidError.field("path", "must name something below /data")
        check_new(to)
        async with self._open(place, to) as volume:
            await self._stat(volume, path)
            moved = await volume.move(path, to, overwrite=overwrite)
        await self._tell(principal, place, "files.move", path, to=shown(to))
        return moved

    # -- behind them

    @asynccontextmanager
    async def _open(self, place: Place, path: Parts) -> AsyncGenerator[OpenVolume]:
        """Open a server's volume, and tell its refusals in words about ``path``."""
        if place.is_remote:
            raise NoFilesError(
                f"{place.server_name} runs elsewhere; it has no /data here."
            )
        if not place.image:
            raise NoFilesError(
                f"{place.server_name} has no /data yet: it was not built.",
                hint="Its files can be reached as soon as its first build is done, even if it does not start then.",
            )
        try:
            async with self._volumes.open(place.owner) as volume:
                yield volume
        except VolumeRefusedError as error:
            raise told(error, path) from error

    async def _stat(self, volume: OpenVolume, path: Parts) -> Entry:
        try:
            return await volume.stat(path)
        except VolumeRefusedError as error:
            raise told(error, path) from error

    async def _fullness(self, place: Place, volume: OpenVolume) -> Fullness:
        usage = await volume.usage()
        quota = place.quota_bytes or self._quota_bytes
        free = max(0, min(quota - usage.used_bytes, usage.free_bytes))
        return Fullness(usage.used_bytes, quota, free, usage.entries)

    @asynccontextmanager
    async def _arriving(
        self, place: Place, volume: OpenVolume
    ) -> AsyncGenerator[tuple[_Arrivals, Fullness]]:
        """Count what comes for one server together: two files that each fit may not fit both."""
        found = await self._fullness(place, volume)
        arrivals = self._arrivals[place.server_id]
        if arrivals.uploads == 0:
            arrivals.used_bytes = found.used_bytes
        arrivals.uploads += 1
        try:
            yield arrivals, found
        finally:
            arrivals.uploads -= 1
            if arrivals.uploads == 0:
                del self._arrivals[place.server_id]

    def _refuse_too_large(self, size_bytes: int, fullness: Fullness) -> None:
        if size_bytes > self._upload_bytes:
            raise FilesFullError(
                f"A file may have {size(self._upload_bytes)} at most; this one has {size(size_bytes)}."
            )
        if size_bytes > fullness.free_bytes:
            raise _no_room(fullness)

    async def _counted(
        self, pieces: AsyncIterator[bytes], arrivals: _Arrivals, fullness: Fullness
    ) -> AsyncIterator[bytes]:
        came = 0
        async for piece in pieces:
            came += len(piece)
            arrivals.came_bytes += len(piece)
            self._refuse_too_large(came, fullness)
            if arrivals.used_bytes + arrivals.came_bytes > fullness.quota_bytes:
                raise _no_room(fullness)
            yield piece

    async def _tell(
        self,
        principal: Principal,
        place: Place,
        action: str,
        path: Parts,
        **details: Any,
    ) -> None:
        """Write into the trail what was done."""

        def write() -> None:
            audit.record(
                principal,
                action,
                object_type="server",
                object_id=place.server_id,
                object_name=place.server_name,
                details={"path": shown(path), **details},
            )

        await self._database.run(write)


def _no_room(fullness: Fullness) -> FilesFullError:
    return FilesFullError(
        f"There is room for {size(fullness.free_bytes)} more:"
        f" {size(fullness.used_bytes)} of {size(fullness.quota_bytes)} are used.",
        hint="Remove what is not needed, or give the server a larger /data in its configuration.",
    )


def cursor_of(after: ListFrom | None) -> str | None:
    """Return where a list goes on, as the API tells it."""
    if after is None:
        return None
    raw = json.dumps([after.is_folder, after.name]).encode()
    return base64.urlsafe_b64encode(raw).decode()


def _after(cursor: str) -> ListFrom | None:
    if not cursor:
        return None
    try:
        is_folder, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error, TypeError) as error:
        raise InvalidError.field("cursor", "is none that a list gave") from error
    if not isinstance(name, str) or not name:
        raise InvalidError.field("cursor", "is none that a list gave")
    return ListFrom(bool(is_folder), name)
