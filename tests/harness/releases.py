"""Releases below a directory of their own, as scripts/install.sh makes them, but for their environments: those are ours."""

import json
import shutil
import sys
from pathlib import Path

from tests.harness.appliance import AS_INSTALLED, ROOT

_PARTS = ("appliance", "migrations", "static", "templates")


def make_release(home: Path, version: str) -> Path:
    """Copy this checkout into a release, and return where it is."""
    release = home / "releases" / version
    for part in _PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, release / part, ignore=ignored)
    (release / "RELEASE.json").write_text(json.dumps({"version": version}))
    program = release / "venv/bin/mcp-host"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={release}:{AS_INSTALLED} exec {sys.executable} -P -m appliance "$@"\n'
    )
    program.chmod(0o755)
    (release / ".complete").touch()
    return release


def spoil(release: Path, path: str, before: str, after: str) -> None:
    """Break a release: replace the only ``before`` in one of its files."""
    file = release / path
    text = file.read_text()
    assert text.count(before) == 1, (path, text.count(before))
    file.write_text(text.replace(before, after))
