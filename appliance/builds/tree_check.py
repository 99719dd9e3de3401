"""What no tree of files may hold, whoever made it: asked of names before anything is written, and of the disk afterwards."""

import os
import re
import stat
from pathlib import Path

from appliance.builds.errors import (
    CheckoutTooLargeError,
    LinkOutOfTreeError,
    SpecialFileError,
    StrangeNameError,
)
from appliance.builds.limits import MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, Limits

# Letters that HFS+ ignores within names, so that ".g\u200cit" is ".git" there; engines' disks may be anything.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_HINT = "Replace the link by the file that it means."


def is_git_name(name: str) -> bool:
    """Tell whether some file system takes ``name`` for ``.git``: other letters' case, trailing dots, 8.3 names. Pure."""
    plain = _IGNORED.sub("", name).lower().partition(":")[0].rstrip(". ")
    return plain in {".git", "git~1"}


def check_name(path: str, whole: str) -> None:
    """Refuse a path, relative and with slashes, that a build could stumble over. Pure.

    Args:
        path: Undecodable bytes of it are surrogates, as ``os.fsdecode`` makes them.
        whole: What it belongs to: ``repository`` or ``archive``.

    Raises:
        StrangeNameError: Says which, and why.
    """
    reason = _strange(path)
    if reason:
        raise StrangeNameError(
            f"The {whole} has a file whose name {reason}: {shown(path)}.",
            hint="Rename it.",
        )


def _strange(path: str) -> str:
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    parts = path.split("/")
    if any(ord(letter) < ord(" ") or letter == "\x7f" for letter in path):
        return "holds a control character"
    if size > MAX_PATH_BYTES or any(
        len(part.encode()) > MAX_NAME_BYTES for part in parts
    ):
        return "is too long"
    return (
        f"is below more than {MAX_DEPTH} directories" if len(parts) > MAX_DEPTH else ""
    )


def shown(path: str) -> str:
    """Return ``path`` as a message may hold it: in one line, and not for ever. Pure."""
    text = path.encode(errors="backslashreplace").decode(errors="replace")
    text = "".join(
        letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text
    )
    return text if len(text) <= MAX_NAME_BYTES else f"{text[:MAX_NAME_BYTES]}…"


def too_large(whole: str, limits: Limits) -> CheckoutTooLargeError:
    """Return the error for a tree with too many bytes. Pure."""
    return CheckoutTooLargeError(
        f"The {whole} is larger than {limits.max_bytes // 1024**2} MiB.",
        hint="SOURCE_MAX_MIB allows more; or build an image of it elsewhere, and host that.",
    )


def too_many(whole: str, limits: Limits) -> CheckoutTooLargeError:
    """Return the error for a tree with too many files. Pure."""
    return CheckoutTooLargeError(
        f"The {whole} has more than {limits.max_files} files and directories.",
        hint="SOURCE_MAX_FILES allows more.",
    )


def check_tree(root: Path, whole: str, limits: Limits) -> None:
    """Refuse what is on the disk below ``root`` if a build must not get it; ``.git`` at the top is ours. Blocking.

    Raises:
        LinkOutOfTreeError: A symbolic link leads out.
        SpecialFileError: There is a pipe, a socket or a device.
        StrangeNameError: A name is no text, or too long.
        CheckoutTooLargeError: There is too much of it.
    """
    inside = os.path.realpath(root)
    count, size = 0, 0
    for place, directories, names in os.walk(root):
        if Path(place) == root and ".git" in directories:
            directories.remove(".git")
        for name in (*directories, *names):
            path = Path(place) / name
            relative = path.relative_to(root).as_posix()
            check_name(relative, whole)
            found = path.lstat()
            _check_kind(path, found.st_mode, inside, (relative, whole))
            count, size = count + 1, size + found.st_size
        if count > limits.max_files:
            raise too_many(whole, limits)
        if size > limits.max_bytes:
            raise too_large(whole, limits)


def _check_kind(path: Path, mode: int, inside: str, names: tuple[str, str]) -> None:
    relative, whole = names
    if stat.S_ISLNK(mode):
        # A circle of links leads nowhere, which is inside enough.
        target = os.path.realpath(path)
        if target != inside and not target.startswith(inside + os.sep):
            raise LinkOutOfTreeError(
                f"The {whole} has a symbolic link that leads out of it: {shown(relative)}.",
                hint=_HINT,
            )
    elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SpecialFileError(
            f"The {whole} has a pipe, a socket or a device: {shown(relative)}.",
            hint="Only files, directories and links between them can be built.",
        )


def measure(root: Path, *, at_most: int) -> tuple[int, int]:
    """Return bytes and files below ``root``, up to ``at_most`` files; what vanishes counts nothing. Blocking."""
    size, count = 0, 0
    waiting = [str(root)]
    while waiting and count <= at_most:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return size, count
