"""Which installation this is, for labels on what it makes outside its own directories."""

import os
import re
import secrets
from pathlib import Path

_FILE = "installation-id"
_SHAPE = re.compile(r"[0-9a-f]{12}")


def known_installation_id(data_dir: Path) -> str:
    """Return the id of the installation whose data are there; empty: there is none. Blocking."""
    try:
        return (data_dir / _FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def installation_id(data_dir: Path) -> str:
    """Return the 12 hex digits that name this installation, made at the first call. Blocking.

    They live beside the data, so that two appliances on one engine never touch each
    other's containers, and one that is restored elsewhere with its data knows its own
    again.
    """
    path = data_dir / _FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.write_text(secrets.token_hex(6) + "\n")
    try:
        # Linking fails if the file is there: of two processes that start at once, one
        # wins and both read the same.
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    found = path.read_text().strip()
    if not _SHAPE.fullmatch(found):
        raise ValueError(
            f"{path} must hold 12 hex digits; remove it only if nothing of this installation runs"
        )
    return found
