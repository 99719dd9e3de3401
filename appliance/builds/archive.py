"""Unpacks an uploaded tar.gz or zip, in a process of its own that the kernel bounds.

``unpack`` starts the process. What is read there: every name is checked before anything is written, files go before
links, so that no write follows a link, and nothing is written that the archive's own headers only promise.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.builds import errors
from appliance.builds.errors import (
    ArchiveBombError,
    ArchiveBrokenError,
    ArchiveRefusedError,
    BuildTimeoutError,
)
from appliance.builds.limits import Limits
from appliance.infra import process

#: Begins the one line of the process that is not for people.
VERDICT = "verdict: "
_REFUSALS = {
    found.__name__: found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, errors.CheckoutRefusedError)
}


async def unpack(
    archive: Path,
    target: Path,
    limits: Limits,
    *,
    on_line: Callable[[str], None],
    mark: str,
) -> Path:
    """Unpack ``archive`` into ``target``, which must not be there yet.

    Returns:
        Where its files begin: ``target``, or the one directory that holds all of it.

    Raises:
        ArchiveRefusedError: It holds what is not unpacked; the subclass says which trick.
        BuildTimeoutError: It takes too long.
    """
    argv = [
        sys.executable, "-I", "-m", "appliance.builds.unpacking", str(archive), str(target),
        str(limits.max_bytes), str(limits.max_files),
    ]  # fmt: skip
    said: list[str] = []
    try:
        finished = await process.run(
            await asyncio.to_thread(limits.guard, argv),
            on_line=said.append,
            timeout_s=limits.timeout_s,
            mark=mark,
        )
    except process.ProgramTimeoutError as error:
        raise BuildTimeoutError(
            f"Unpacking the archive took longer than {limits.timeout_s:g} seconds."
        ) from error
    verdict = next((line for line in said if line.startswith(VERDICT)), None)
    if verdict is None:
        raise _without_verdict(finished.code, said)
    found = json.loads(verdict.removeprefix(VERDICT))
    if "error" in found:
        kind = _REFUSALS.get(found["error"], ArchiveRefusedError)
        raise kind(found["detail"], hint=found["hint"])
    if found["left_out"]:
        on_line(f"Left out git's own files: {found['left_out']}.")
    return target / found["root"] if found["root"] else target


def _without_verdict(code: int, said: list[str]) -> ArchiveRefusedError:
    """The kernel ended it: too much memory, or too large a file."""
    if any("MemoryError" in line for line in said) or code < 0:
        return ArchiveBombError(
            "Reading the archive needs more memory, or writes a larger file, than an archive may.",
            hint="Leave out what the server does not need.",
        )
    return ArchiveBrokenError(
        "The archive cannot be read.",
        hint="Pack it again, as tar.gz or zip.",
        output=tuple(said[-5:]),
    )
