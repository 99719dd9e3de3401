"""The dockerconfigjson on disk: read, told apart from what it was before, and replaced whole. Blocking; called in a thread."""

import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.registry.auth import Credentials
from appliance.registry.dockerconfig import (
    MAX_BYTES,
    DockerConfigError,
    credentials_for,
)

#: Its owner alone may read it.
MODE = 0o600


@dataclass(frozen=True)
class Stored:
    """Credentials as they stand in the file."""

    credentials: Credentials
    #: When the file was written.
    issued_at: datetime
    #: Tells one state of the file from another; says nothing of its content.
    stamp: str


class CredentialFile:
    """One file with credentials of registries."""

    def __init__(self, path: Path) -> None:
        """Keep the path; nothing is read yet."""
        self.path = path

    def read(self, host: str) -> Stored:
        """Return what the file says of ``host``.

        Raises:
            DockerConfigError: It cannot be read, is no dockerconfigjson, or does not know ``host``.
        """
        text, status = self._read()
        try:
            found = credentials_for(text, host)
        except DockerConfigError as error:
            raise DockerConfigError(
                f"{self.path}: {error.detail}", hint=error.hint
            ) from None
        if found is None:
            raise DockerConfigError(
                f"{self.path} has no entry for {host} in its auths."
            )
        issued_at = datetime.fromtimestamp(status.st_mtime, UTC)
        return Stored(found, issued_at, _stamp(text, status))

    def stamp(self) -> str:
        """Return what tells this state of the file from another; empty while it cannot be read."""
        try:
            return _stamp(*self._read())
        except DockerConfigError:
            return ""

    def replace(self, text: bytes) -> None:
        """Put ``text`` in the file's place: whoever reads sees the old one or the new one, never half of either.

        Raises:
            DockerConfigError: It cannot be written.
        """
        # What a link names is replaced, and not the link.
        target = self.path.resolve()
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            _write_new(draft, text)
            draft.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise DockerConfigError(
                f"{self.path} cannot be written: {error.strerror}.",
                hint="The directory of REGISTRY_AUTH_DOCKERCONFIG must be writable for the hub's user.",
            ) from error

    def _read(self) -> tuple[bytes, os.stat_result]:
        try:
            with self.path.open("rb") as opened:
                status = os.fstat(opened.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise DockerConfigError(f"{self.path} is not a file.")
                return opened.read(MAX_BYTES + 1), status
        except OSError as error:
            raise DockerConfigError(
                f"{self.path} cannot be read: {error.strerror}.",
                hint="REGISTRY_AUTH_DOCKERCONFIG names it; the hub's user must be able to read it.",
            ) from error


def _write_new(path: Path, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())


def _stamp(text: bytes, status: os.stat_result) -> str:
    return f"{hashlib.sha256(text).hexdigest()}-{status.st_mtime_ns}"
