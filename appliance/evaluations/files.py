"""Files that show something: below ``DATA_DIR/evaluations``, each named by its own digest. They are kept, never opened."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from appliance.evaluations.errors import EvidenceTooLargeError

_INCOMING = ".incoming-"
_MIB = 1024**2
#: What no row names is removed after so many seconds: somebody may be just bringing it.
_ORPHAN_S = 86400.0


class EvidenceFiles:
    """Takes files in and gives them out.

    Args:
        directory: Made with the first file.
        max_bytes: Of one file.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """Keep them."""
        self._directory = directory
        self._max_bytes = max_bytes

    def path(self, digest: str) -> Path:
        """Return where the file of a digest is, or would be."""
        return self._directory / digest.removeprefix("sha256:")

    async def receive(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store a file as it comes in; return its digest and its bytes. What breaks off leaves nothing.

        Raises:
            EvidenceTooLargeError: It is larger than EVALUATION_EVIDENCE_MAX_MIB.
            InvalidError: It is empty.
        """
        incoming = self._directory / f"{_INCOMING}{secrets.token_hex(8)}"
        await asyncio.to_thread(self._directory.mkdir, 0o700, True, True)  # noqa: FBT003 - mkdir's own: mode, parents, exist_ok
        try:
            digest, size = await self._write(incoming, chunks)
            await asyncio.to_thread(incoming.rename, self.path(digest))
        finally:
            await asyncio.to_thread(incoming.unlink, missing_ok=True)
        return digest, size

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        hashed, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(_open_new, path)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    raise EvidenceTooLargeError.field(
                        "file", f"is larger than {self._max_bytes // _MIB} MiB"
                    )
                hashed.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        finally:
            await asyncio.to_thread(file.close)
        if size == 0:
            raise EvidenceTooLargeError.field("file", "holds nothing")
        return f"sha256:{hashed.hexdigest()}", size

    async def prune(self, in_use: set[str]) -> int:
        """Remove what no row names, and is a day old; return how many files went."""
        names = {digest.removeprefix("sha256:") for digest in in_use}
        return await asyncio.to_thread(_sweep, self._directory, names)


def _open_new(path: Path) -> IO[bytes]:
    file = path.open("xb")
    path.chmod(0o600)
    return file


def _sweep(directory: Path, known: set[str]) -> int:
    count, oldest = 0, time.time() - _ORPHAN_S
    for path in directory.glob("*") if directory.is_dir() else ():
        if path.name not in known and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            count += 1
    return count
