"""Which paths may be asked for, and how they are written. Pure.

A path names something below ``/data``: ``reports/2026/a.csv``. It is a tuple of names; one that is no UTF-8 holds lone
surrogates, as Python reads it from a file system, and is written with percent signs in an address.
"""

import os
from urllib.parse import quote, unquote_to_bytes

from appliance.core.errors import InvalidError

Parts = tuple[str, ...]

#: The kernel's own bounds, in bytes.
MAX_PATH = 4095
MAX_NAME = 255
MAX_DEPTH = 100


class FilePathError(InvalidError):
    """The path is none that a file of a server can have."""

    code = "file_path"


def from_text(text: str, *, field: str = "path") -> Parts:
    """Return a path that somebody wrote: in JSON, a query or a form. Empty: ``/data`` itself.

    Raises:
        FilePathError: It is absolute, leads elsewhere, or holds what no name may hold.
    """
    return _checked(text, field)


def from_address(quoted: str) -> Parts:
    """Return the path that an address ends in, as it was sent: with percent signs, which may stand for any byte.

    Raises:
        FilePathError: As ``from_text``.
    """
    return _checked(os.fsdecode(unquote_to_bytes(quoted)), "path")


def new_name(text: str) -> str:
    """Return the name of a file that a browser or program brings.

    Raises:
        FilePathError: It is none, or would be hard to see or to type.
    """
    parts = _checked(text, "name")
    if len(parts) != 1:
        raise FilePathError.field("name", "must be one name, without slashes")
    return parts[0]


def check_new(path: Parts) -> Parts:
    """Return the path of what is to be made.

    Raises:
        FilePathError: It names nothing, or a name of it is no text or holds control characters.
    """
    if not path:
        raise FilePathError.field("path", "must name something below /data")
    if not all(name.isprintable() for name in path):
        raise FilePathError.field("path", "must be readable text")
    return path


def _checked(text: str, field: str) -> Parts:
    if text.startswith("/"):
        raise FilePathError.field(
            field, "must be relative to /data, without a slash at its beginning"
        )
    parts = tuple(text.removesuffix("/").split("/")) if text else ()
    problem = _problem(text, parts)
    if problem:
        raise FilePathError.field(field, problem)
    return parts


def _problem(text: str, parts: Parts) -> str:
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError:
        return "must be text"
    if b"\0" in raw:
        return "must not hold the NUL character"
    if any(part in {"", ".", ".."} for part in parts):
        return "must not hold empty names, . or .."
    if len(parts) > MAX_DEPTH or len(raw) > MAX_PATH:
        return f"must be at most {MAX_PATH} bytes and {MAX_DEPTH} folders deep"
    if any(len(os.fsencode(part)) > MAX_NAME for part in parts):
        return f"must not hold a name of more than {MAX_NAME} bytes"
    return ""


def address(path: Parts) -> str:
    """Return the path as an address writes it; ``from_address`` reads it back, whatever its bytes are."""
    return quote(os.fsencode("/".join(path)), safe="/")


def shown(path: Parts | str) -> str:
    """Return a path or name as people may see it: what is no text, and what would move their cursor, is replaced."""
    text = path if isinstance(path, str) else "/".join(path)
    readable = os.fsencode(text).decode(errors="replace")
    return "".join(char if char.isprintable() else "�" for char in readable)
