"""Files that another user may read and nobody else: written whole or not at all."""

import contextlib
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from appliance.core.errors import InvalidError
from appliance.infra.directories import settle


@dataclass(frozen=True)
class Reader:
    """Whose group may read; ``None``: only whoever writes."""

    gid: int | None = None

    @classmethod
    def named(cls, user: str) -> "Reader":
        """Return the reader that works as ``user``; ourselves, unless we are root, who alone can start others.

        Raises:
            InvalidError: There is no such user.
        """
        if os.geteuid() != 0:
            return cls()
        try:
            return cls(pwd.getpwnam(user).pw_gid)
        except KeyError:
            raise InvalidError(
                f"There is no user {user!r} on this box.",
                hint="Set PROXY_USER to one as whom Nginx shall work, such as www-data.",
            ) from None


def hand_directory(path: Path, reader: Reader) -> None:
    """Make ``path`` a directory in which ``reader`` finds files by name but lists none. Idempotent."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if reader.gid is None:
        path.chmod(0o700)
        return
    os.chown(path, -1, reader.gid)
    path.chmod(0o710)


def hand_file(path: Path, data: bytes, reader: Reader) -> None:
    """Replace ``path`` by ``data`` for ``reader``, so that everybody sees the old or the new, also after a power cut. Blocking.

    Raises:
        OSError: It could not be written, and the old one is still there.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if reader.gid is not None:
                os.fchown(descriptor, -1, reader.gid)
                os.fchmod(descriptor, 0o640)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    settle(path.parent)
