"""The file with the master keys: made at first use, replaced as a whole, readable by its owner alone. Blocking."""

import base64
import json
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.infra.directories import settle
from appliance.secrets.envelope import KEY_BYTES, KeyRing, new_key
from appliance.secrets.errors import MasterKeyError

_MODE = 0o600


class MasterKeys:
    """Reads and changes the file.

    Whoever changes what is in it holds the lock of ``store.lock_keys``; it is there from the first value on.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._known: tuple[tuple[int, int], KeyRing] | None = None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def ring(self) -> KeyRing:
        """Return the keys, made if there is no file yet.

        Raises:
            MasterKeyError: The file cannot be read or written, or holds something else.
        """
        try:
            found = self._read()
            if found is None:
                self._make()
                found = self._read()
        except OSError as error:
            raise MasterKeyError(
                f"The master key file {self._path} cannot be used: {error.strerror}.",
                hint="SECRETS_MASTER_KEY_FILE must name a file that the hub may read and write.",
            ) from error
        if found is None:
            raise MasterKeyError(f"The master key file {self._path} does not stay.")
        return found

    def add_key(self) -> KeyRing:
        """Make a new key, under which new values are sealed from now on, and return all."""
        ring = self.ring()
        key_id, key = new_key()
        grown = KeyRing(key_id, {**ring.keys, key_id: key})
        self._replace(grown)
        return grown

    def keep_only(self, key_ids: set[str]) -> list[str]:
        """Forget keys that are neither among these nor current; return the ids of those that went."""
        ring = self.ring()
        kept = {
            key_id: key
            for key_id, key in ring.keys.items()
            if key_id in key_ids or key_id == ring.current
        }
        gone = sorted(ring.keys.keys() - kept.keys())
        if gone:
            self._replace(replace(ring, keys=kept))
        return gone

    def _read(self) -> KeyRing | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        version = (found.st_ino, found.st_mtime_ns)
        if self._known is None or self._known[0] != version:
            self._known = (version, _ring(self._path))
        return self._known[1]

    def _make(self) -> None:
        """Make the first key; of two processes that do at once, one wins and both read the same."""
        key_id, key = new_key()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._written(KeyRing(key_id, {key_id: key}))
        try:
            self._path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        settle(self._path.parent)

    def _replace(self, ring: KeyRing) -> None:
        self._written(ring).replace(self._path)
        settle(self._path.parent)
        self._known = None

    def _written(self, ring: KeyRing) -> Path:
        """Return a file beside ours with ``ring`` in it, safe on the disk."""
        fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        keys = {name: base64.b64encode(key).decode() for name, key in ring.keys.items()}
        text = json.dumps({"current": ring.current, "keys": keys}, indent=1) + "\n"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return fresh


def _ring(path: Path) -> KeyRing:
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        keys = {name: base64.b64decode(key) for name, key in data["keys"].items()}
        current = data["current"]
    except (ValueError, KeyError, TypeError, AttributeError):
        keys, current = {}, ""
    if current not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise MasterKeyError(
            f"{path} is no file of master keys.",
            hint="Restore it from where you keep it; without it, what was sealed does not open.",
        )
    return KeyRing(current, keys)
