"""Settings and keys in a backup: what is read of this box, and what another box's settings become. Pure but for ``read``."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from appliance.backups.errors import BackupDamagedError, RestoreRefusedError
from appliance.settings import Settings

#: What says where things of this one box are: another box has its own.
OF_THE_BOX = frozenset(
    {
        "DATA_DIR",
        "RUN_DIR",
        "DATABASE_URL",
        "DOCKER_HOST",
        "SECRETS_MASTER_KEY_FILE",
        "SECRETS_DELIVERY_DIR",
        "BACKUP_PASSPHRASE_FILE",
    }
)
#: Settings that name a file without which they mean nothing.
_FILES = ("registry_auth_dockerconfig", "acme_ca_file", "backup_ssh_key_file", "backup_ssh_known_hosts")  # fmt: skip
_MAX_FILE_BYTES = 1024**2
_PLAIN = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+,=[]"
)


@dataclass(frozen=True)
class Configuration:
    """What makes an installation this one, beside its data."""

    #: By name, as a ``.env`` says them; secrets among them.
    settings: Mapping[str, str]
    #: The file with the master keys; ``None``: there is none yet.
    master_keys: str | None
    #: What settings name, by path.
    files: Mapping[str, bytes]

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Configuration(…)"


def read(settings: Settings) -> Configuration:
    """Return what this box says. Blocking.

    Raises:
        OSError: A file cannot be read.
    """
    keys = settings.master_key_file
    files = {}
    for name in _FILES:
        path = getattr(settings, name, None)
        if (
            isinstance(path, Path)
            and path.is_file()
            and path.stat().st_size <= _MAX_FILE_BYTES
        ):
            files[str(path.absolute())] = path.read_bytes()
    return Configuration(
        set_variables(settings), keys.read_text() if keys.is_file() else None, files
    )


def set_variables(settings: Settings) -> dict[str, str]:
    """Return every variable that somebody set, as a ``.env`` says it."""
    found = {}
    for name in sorted(settings.model_fields_set):
        text = _text(getattr(settings, name))
        if text is not None:
            found[name.upper()] = text
    return found


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return str(value)


def write(configuration: Configuration) -> bytes:
    """Return it as it is sealed."""
    files = {
        path: base64.b64encode(data).decode()
        for path, data in configuration.files.items()
    }
    return json.dumps(
        {
            "settings": dict(configuration.settings),
            "master_keys": configuration.master_keys,
            "files": files,
        }
    ).encode()


def parse(text: bytes) -> Configuration:
    """Return what ``write`` wrote.

    Raises:
        BackupDamagedError: It is something else.
    """
    try:
        data = json.loads(text)
        files = {path: base64.b64decode(body) for path, body in data["files"].items()}
        return Configuration(data["settings"], data["master_keys"], files)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupDamagedError(
            "The settings in the backup are not readable."
        ) from None


def merged(ours: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a box on which a backup is brought back.

    Args:
        ours: What this box's settings file says.
        theirs: What the backup says.
    """
    kept = {name: value for name, value in ours.items() if name in OF_THE_BOX}
    brought = {name: value for name, value in theirs.items() if name not in OF_THE_BOX}
    return {**brought, **kept}


def as_env(settings: Mapping[str, str]) -> str:
    """Return the lines of a ``.env``.

    Raises:
        RestoreRefusedError: A value holds a line break, which such a file cannot say.
    """
    lines = ["# Written by 'mcp-host restore'."]
    for name, value in sorted(settings.items()):
        if "\n" in value or "\r" in value:
            raise RestoreRefusedError(f"{name} holds a line break.")
        if value and set(value) <= _PLAIN:
            lines.append(f"{name}={value}")
        else:
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"{name}='{quoted}'")
    return "\n".join(lines) + "\n"
