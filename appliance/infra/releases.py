"""Which release this is, and how its commands are started so that the next release takes their place.

A release is a directory with the code and its virtual environment, ``<home>/releases/<version>``; ``<home>/current`` is a
symbolic link to the one that counts. A program that is started through the link runs from its own release to its end: what
it loads later comes from there, too.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

#: Beside the code; written where a release is made, absent in a checkout.
MANIFEST = "RELEASE.json"
_ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Release:
    """One version of the program."""

    version: str
    #: Of the repository; empty: not known.
    commit: str = ""


def this_release() -> Release:
    """Return what runs. Blocking."""
    try:
        told = json.loads((_ROOT / MANIFEST).read_text())
        return Release(str(told["version"]), str(told.get("commit", "")))
    except (OSError, ValueError, LookupError):
        import importlib.metadata  # noqa: PLC0415 - large, and the gateway never needs it

        return Release(f"{importlib.metadata.version('mcp-host')}+checkout")


def home() -> Path | None:
    """Return where releases are installed; ``None``: this is a checkout. Blocking."""
    releases = _ROOT.resolve().parent
    is_installed = (
        releases.name == "releases" and (releases.parent / "current").is_symlink()
    )
    return releases.parent if is_installed else None


def own_command(command: str) -> list[str]:
    """Return the argv that starts one of our commands, of the release that counts at that moment.

    ``-P`` keeps the working directory out of the import path; what is installed is started by a script that is none.
    """
    found = home()
    if found is not None:
        return [os.fspath(found / "current/venv/bin/mcp-host"), command]
    return [sys.executable, "-P", "-m", "appliance", command]
