"""What is written for Node: the conformance suite and other people's clients, installed as their lock file says."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "node"
#: Node 24 comes with the development environment, whatever the box has.
_BIN = Path(sys.executable).parent
_INSTALL_S = 600


def ensure_installed() -> None:
    """Install what the lock file names, unless that is what is there."""
    lock = FIXTURES / "package-lock.json"
    stamp = FIXTURES / "node_modules" / ".installed"
    with (FIXTURES / ".npmrc").open() as guard:
        # Two test runs in one checkout must not install at the same time.
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
            return
        subprocess.run(
            [str(_BIN / "npm"), "ci", "--ignore-scripts", "--no-update-notifier"],
            cwd=FIXTURES,
            env=environment({}),
            check=True,
            capture_output=True,
            timeout=_INSTALL_S,
        )
        stamp.write_bytes(lock.read_bytes())


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Node program: this box's, with our Node first."""
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **more}


def node(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program of a package, or a script beside the lock file."""
    script = FIXTURES / program
    if not script.exists():
        script = FIXTURES / "node_modules" / ".bin" / program
    return [str(_BIN / "node"), str(script), *arguments]
