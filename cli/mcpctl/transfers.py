"""Files on their way to and from the hub: checked by their SHA-256, told about on a terminal, taken up where they broke off."""

import base64
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from mcpctl.client import Client
from mcpctl.errors import ApiError, CommandError, UnreachableError

_PIECE = 256 * 1024
_PARTIAL = 206
_BEHIND_THE_END = 416
#: Seconds between two looks at how far it is.
_EVERY_S = 0.2
_STEP = 1024


class Progress:
    """One line on a terminal that says how far a file is; silent elsewhere.

    Args:
        name: Of the file.
        total: Its bytes; ``None``: nobody knows.
        done: Bytes that were there before.
    """

    def __init__(self, name: str, total: int | None, *, done: int = 0) -> None:
        """Begin."""
        self._name, self._total, self._done = name, total, done
        self._before = done
        self._begun = self._shown = time.monotonic()
        self._is_seen = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Count bytes."""
        self._done += count
        now = time.monotonic()
        if self._is_seen and now - self._shown >= _EVERY_S:
            self._shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        speed = (self._done - self._before) / max(now - self._begun, 0.001)
        of = f" of {size(self._total)}" if self._total else ""
        share = f" {100 * self._done // self._total} %" if self._total else ""
        click.echo(f"\r\033[K{self._name}{share} {size(self._done)}{of}, {size(int(speed))}/s", err=True, nl=False)  # fmt: skip

    def end(self) -> None:
        """Take the line away."""
        if self._is_seen:
            click.echo("\r\033[K", err=True, nl=False)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < _STEP:
            return f"{amount:.4g} {unit}"
        amount /= _STEP
    return f"{amount:.4g} GiB"


def bring(hub: Client, address: str, file: Path, *, overwrite: bool) -> Any:
    """Send a file and return the hub's answer; the hub stores it only if its SHA-256 is the same.

    Raises:
        CommandError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            total = opened.tell()
            opened.seek(0)
            progress = Progress(file.name, total)
            query = f"?sha256={digest}" + ("&overwrite=true" if overwrite else "")
            try:
                return hub.bring(address + query, _read(opened, progress), total)
            finally:
                progress.end()
    except FileNotFoundError as error:
        raise CommandError(f"There is no file {file}.") from error
    except (IsADirectoryError, PermissionError) as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _read(opened: IO[bytes], progress: Progress) -> Iterator[bytes]:
    while piece := opened.read(_PIECE):
        yield piece
        progress.add(len(piece))


def fetch_to(hub: Client, address: str, sink: IO[bytes]) -> None:
    """Write a file to a stream as it comes."""
    with hub.fetch(address, {}) as response:
        while piece := response.read(_PIECE):
            sink.write(piece)


def fetch(hub: Client, address: str, target: Path) -> int:
    """Fetch a file and return its bytes.

    What came stays beside the target as ``.part`` when the line breaks; the next fetch takes it up there if the file is
    still the same. The target appears when all of it came and has the hub's checksum.

    Raises:
        CommandError: It came damaged, or cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    note = target.with_name(f"{target.name}.part.json")
    try:
        digest = _continue(hub, address, part, note)
        with part.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
            count = opened.tell()
        note.unlink(missing_ok=True)
        if digest and found != digest:
            part.unlink()
            raise CommandError(f"{target.name} came damaged.", hint="Fetch it again.")
        part.replace(target)
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
    return count


def _continue(hub: Client, address: str, part: Path, note: Path) -> str:
    """Fetch what is missing of ``part``; return the whole file's SHA-256 in hex, if the hub says it."""
    done = part.stat().st_size if part.exists() and note.exists() else 0
    headers = {"Want-Repr-Digest": "sha-256=1"}
    if done:
        etag = json.loads(note.read_text())["etag"]
        headers |= {"Range": f"bytes={done}-", "If-Range": etag}
    try:
        return _fetch(hub, address, headers, (part, note))
    except ApiError as error:
        if error.status != _BEHIND_THE_END:
            raise
        # All of it had come, or the file is a shorter one now.
        part.unlink()
        return _fetch(hub, address, {"Want-Repr-Digest": "sha-256=1"}, (part, note))


def _fetch(
    hub: Client, address: str, headers: dict[str, str], files: tuple[Path, Path]
) -> str:
    part, note = files
    with hub.fetch(address, headers) as response:
        is_rest = response.status == _PARTIAL
        done = part.stat().st_size if is_rest else 0
        left = int(response.headers["Content-Length"])
        note.write_text(json.dumps({"etag": response.headers["ETag"]}))
        progress = Progress(part.stem, done + left, done=done)
        with part.open("ab" if is_rest else "wb") as opened:
            while piece := response.read(_PIECE):
                opened.write(piece)
                progress.add(len(piece))
                left -= len(piece)
        progress.end()
        if left > 0:
            raise UnreachableError(
                f"The line broke with {size(left)} to come.",
                hint="The same command goes on where it ended.",
            )
        return _digest(response.headers.get("Repr-Digest", ""))


def _digest(header: str) -> str:
    encoded = header.partition("sha-256=:")[2].partition(":")[0]
    return base64.b64decode(encoded).hex()
