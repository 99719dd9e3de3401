"""Archives that people bring: files below ``DATA_DIR/uploads``, each named by its own digest."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.settings import Settings
from appliance.sources import store
from appliance.sources.errors import (
    UploadIncompleteError,
    UploadQuotaError,
    UploadTooLargeError,
)
from appliance.sources.model import ArchiveSource
from appliance.sources.spec import plain_filename

MIB = 1024**2
#: How long a file waits for the server that is to be made of it, or comes back to after one is gone.
KEPT_FOR = timedelta(days=1)
_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")
_INCOMING = ".incoming-"
_WRITE_BYTES = MIB


@dataclass(frozen=True)
class Upload:
    """A file that was brought."""

    source: ArchiveSource
    size_bytes: int


class Uploads:
    """Takes archives and keeps them while a server may need them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Keep the parts; the directory is made with the first file."""
        self._database = database
        self._directory = settings.data_dir / "uploads"
        self._max_bytes = settings.archive_max_mib * MIB
        self._quota_bytes = settings.archive_quota_mib * MIB

    def path(self, digest: str) -> Path:
        """Return where the file of a digest is, or would be."""
        return self._directory / digest.removeprefix("sha256:")

    async def receive(
        self, owner_id: int, filename: str, chunks: AsyncIterator[bytes]
    ) -> Upload:
        """Store a file as it comes in, and return what names it.

        Brought twice it is stored once. What breaks off leaves nothing.

        Raises:
            UploadTooLargeError: It is larger than ARCHIVE_MAX_MIB.
            UploadIncompleteError: It is empty, or no archive.
            UploadQuotaError: With it, the owner's files would be more than ARCHIVE_QUOTA_MIB.
        """
        used = await self._database.run(store.uploaded_bytes, owner_id)
        incoming = self._directory / f"{_INCOMING}{secrets.token_hex(8)}"
        await asyncio.to_thread(self._directory.mkdir, 0o700, True, True)  # noqa: FBT003 - mkdir's own: mode, parents, exist_ok
        try:
            digest, size = await self._write(incoming, chunks)
            if used + size > self._quota_bytes:
                raise UploadQuotaError(
                    f"Your archives take more than {self._quota_bytes // MIB} MiB.",
                    hint="Those that no server is made of go after a day.",
                    retry_after_s=3600,
                )
            await asyncio.to_thread(incoming.rename, self.path(digest))
        finally:
            await asyncio.to_thread(incoming.unlink, missing_ok=True)
        source = ArchiveSource(digest, plain_filename(filename))

        def remember() -> None:
            store.add_upload(
                digest=digest,
                owner_id=owner_id,
                filename=source.filename,
                size_bytes=size,
            )

        await self._database.run(remember)
        return Upload(source, size)

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(_open_new, path)
        try:
            async for chunk in _joined(chunks):
                if size == 0 and not chunk.startswith(_MAGIC):
                    raise UploadIncompleteError.field(
                        "archive", "is neither a tar.gz nor a zip file"
                    )
                size += len(chunk)
                if size > self._max_bytes:
                    raise UploadTooLargeError.field(
                        "archive", f"is larger than {self._max_bytes // MIB} MiB"
                    )
                await asyncio.to_thread(_take, file, digest.update, chunk)
        finally:
            await asyncio.to_thread(file.close)
        if size == 0:
            raise UploadIncompleteError.field("archive", "holds nothing")
        return f"sha256:{digest.hexdigest()}", size

    async def prune(self, in_use: Callable[[], Awaitable[set[str]]]) -> int:
        """Remove files that nobody needs any more; return how many.

        Args:
            in_use: Digests that servers and their deployments name.
        """
        kept = await in_use()
        before = now() - KEPT_FOR

        def forget() -> set[str]:
            return store.forget_uploads(before=before, kept=kept)

        known = await self._database.run(forget) | kept
        names = {digest.removeprefix("sha256:") for digest in known}
        return await asyncio.to_thread(_sweep, self._directory, names)


def _open_new(path: Path) -> IO[bytes]:
    file = path.open("xb")
    path.chmod(0o600)
    return file


def _take(file: IO[bytes], update: Callable[[bytes], None], chunk: bytes) -> None:
    update(chunk)
    file.write(chunk)


async def _joined(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same bytes in larger pieces: each costs a thread."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _WRITE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _sweep(directory: Path, known: set[str]) -> int:
    """Remove what is not known and old enough that nobody is just bringing it. Blocking."""
    count = 0
    oldest = time.time() - KEPT_FOR.total_seconds()
    for path in directory.glob("*") if directory.is_dir() else ():
        if path.name not in known and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            count += 1
    for path in directory.glob(f"{_INCOMING}*") if directory.is_dir() else ():
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
    return count
