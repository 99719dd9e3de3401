"""Which hub, and which key: from the environment, else from ``~/.config/mcpctl/config.json``."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from mcpctl.errors import CommandError

DEFAULT_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True)
class Config:
    """Where the hub is and who asks."""

    url: str = DEFAULT_URL
    api_key: str = ""
    #: The key's id, so that a logout can revoke it.
    key_id: int | None = None


def config_path() -> Path:
    """Return the file of this user."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "mcpctl" / "config.json"


def reason() -> str:
    """Return why this is done, for the hub's audit trail, as ``MCPCTL_REASON`` says."""
    return os.environ.get("MCPCTL_REASON", "")


def load() -> Config:
    """Return the configuration; ``MCPCTL_URL`` and ``MCPCTL_API_KEY`` win over the file.

    Raises:
        CommandError: The file is not what this program wrote.
    """
    stored = _stored()
    url = os.environ.get("MCPCTL_URL")
    key = os.environ.get("MCPCTL_API_KEY")
    if url and not key and url.rstrip("/") != stored.url:
        # A stored key belongs to the hub that made it; another address must not see it.
        stored = Config()
    return Config(
        url=(url or stored.url).rstrip("/"),
        api_key=key or stored.api_key,
        key_id=None if key else stored.key_id,
    )


def save(config: Config) -> Path:
    """Write the file, readable by its owner alone, and return its path."""
    path = config_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600, and the rename leaves the old or the new one, never half of one.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(config), file, indent=2)
        file.write("\n")
    Path(temporary).replace(path)
    return path


def _stored() -> Config:
    path = config_path()
    try:
        data = json.loads(path.read_text())
        return Config(
            url=data["url"], api_key=data["api_key"], key_id=data.get("key_id")
        )
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{path} cannot be read: {error}", hint="Remove it and log in again."
        ) from error
