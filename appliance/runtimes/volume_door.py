"""One conversation with the program that looks into a volume: questions and answers, and files in pieces."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, Protocol

from appliance.core.errors import UnavailableError
from appliance.runtimes.errors import VolumeRefusedError
from appliance.runtimes.volume_model import (
    Entry,
    EntryKind,
    Incoming,
    ListFrom,
    Listing,
    Parts,
    Refusal,
    Usage,
)

LENGTH = struct.Struct(">I")
#: Seconds for an answer that needs no reading of whole files.
PATIENCE_S = 60.0
#: Seconds for one that does: a checksum, or bringing a file safely to the disk.
LONG_PATIENCE_S = 600.0


class Pipe(Protocol):
    """The program's standard input and output."""

    async def send(self, data: bytes) -> None:
        """Send bytes, no faster than they are taken."""

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end."""


class VolumeLostError(UnavailableError):
    """The helper that looks into the volume ended."""

    code = "files_interrupted"


class VolumeDoor:
    """What can be done in one volume, one thing at a time; see ``OpenVolume`` of the ports for the promises."""

    def __init__(self, pipe: Pipe) -> None:
        """Take over a pipe to a program that waits for its first question."""
        self._pipe = pipe
        self._buffer = bytearray()
        #: Whether the next question may be asked: nothing of the last exchange is still to come.
        self.is_free = True

    # -- looking

    async def list(self, path: Parts, after: ListFrom | None, limit: int) -> Listing:
        """Return a part of a folder."""
        behind = [0 if after.is_folder else 1, after.name] if after else None
        found = await self._ask("list", path=path, after=behind, limit=limit)
        last = found["last"]
        return Listing(
            entries=tuple(map(_entry, found["items"])),
            more=ListFrom(last[0] == 0, last[1]) if last else None,
            total=found["total"],
        )

    async def stat(self, path: Parts) -> Entry:
        """Return what is at ``path``."""
        return _entry(await self._ask("stat", path=path))

    async def usage(self) -> Usage:
        """Return how full the volume is."""
        found = await self._ask("usage", patience_s=LONG_PATIENCE_S)
        return Usage(found["files"], found["used"], found["free"])

    async def open(self, path: Parts, *, checksum: bool) -> tuple[Entry, str]:
        """Open a file, and return what it is and, if asked for, its SHA-256 in hex."""
        found = await self._ask(
            "open", path=path, hash=checksum, patience_s=LONG_PATIENCE_S
        )
        return _entry({"name": path[-1], **found}), found["sha256"] or ""

    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of the file that was opened."""
        self.is_free = False
        await self._put(_question("send", offset=offset, length=length))
        while piece := await self._frame(PATIENCE_S):
            yield piece
        await self._answer(PATIENCE_S)

    # -- changing

    async def write(
        self, path: Parts, incoming: Incoming, pieces: AsyncIterator[bytes]
    ) -> tuple[Entry, str]:
        """Store a file as it comes; return what it is and its SHA-256 in hex."""
        await self._ask(
            "write",
            path=path,
            overwrite=incoming.overwrite,
            parents=incoming.parents,
            limit=incoming.limit_bytes,
            size=incoming.size_bytes,
            sha256=incoming.sha256 or None,
        )
        self.is_free = False
        found = await self._bring(pieces)
        return _entry({"name": path[-1], **found}), found["sha256"]

    async def _bring(self, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
        said = asyncio.create_task(self._answer(None))
        try:
            async for piece in pieces:
                if said.done():
                    break
                if piece:
                    await self._put(piece)
            await self._put(b"")
            async with asyncio.timeout(LONG_PATIENCE_S):
                found = await said
                return await self._answer(None) if found.get("stop") else found
        except TimeoutError as error:
            raise _silent() from error
        finally:
            if not said.cancel() and not said.cancelled():
                said.exception()  # looked at, so that nobody complains of it

    async def make_folder(self, path: Parts, *, parents: bool) -> Entry:
        """Make a folder."""
        return _entry(await self._ask("mkdir", path=path, parents=parents))

    async def remove(self, path: Parts, *, recursive: bool) -> int:
        """Remove what is at ``path``; return how many entries went."""
        found = await self._ask(
            "remove", path=path, recursive=recursive, patience_s=LONG_PATIENCE_S
        )
        return int(found["removed"])

    async def move(self, path: Parts, to: Parts, *, overwrite: bool) -> Entry:
        """Give what is at ``path`` another name or place."""
        return _entry(await self._ask("move", path=path, to=to, overwrite=overwrite))

    # -- frames

    async def _ask(
        self, what: str, *, patience_s: float = PATIENCE_S, **words: Any
    ) -> dict[str, Any]:
        self.is_free = False
        await self._put(_question(what, **words))
        return await self._answer(patience_s)

    async def _answer(self, patience_s: float | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._frame(patience_s))
        if not found.get("stop"):
            self.is_free = True
        if "error" in found:
            raise VolumeRefusedError(Refusal(found.pop("error")), found)
        return found

    async def _put(self, payload: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._pipe.send(LENGTH.pack(len(payload)) + payload)
        except TimeoutError as error:
            raise _silent() from error

    async def _frame(self, patience_s: float | None) -> bytes:
        try:
            async with asyncio.timeout(patience_s):
                head = await self._exactly(LENGTH.size)
                return await self._exactly(LENGTH.unpack(head)[0])
        except TimeoutError as error:
            raise _silent() from error

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = await self._pipe.receive()
            if not data:
                raise VolumeLostError(
                    "The look into the server's files was cut off.", hint="Try again."
                )
            self._buffer += data
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found


def _question(what: str, **words: Any) -> bytes:
    return json.dumps({"do": what, **words}).encode()


def _entry(found: dict[str, Any]) -> Entry:
    return Entry(
        name=found["name"],
        kind=EntryKind(found["kind"]),
        size_bytes=found["size"],
        modified_ns=found["mtime_ns"],
        tag=found["tag"],
        target=found.get("target", ""),
    )


def _silent() -> VolumeLostError:
    return VolumeLostError(
        "The server's files did not answer in time.",
        hint="Is the box's disk very busy? Try again.",
    )
