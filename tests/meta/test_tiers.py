"""Every test is run by ``scripts/test.sh``."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_test_file_is_below_a_directory_that_is_run() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = settings["tool"]["pytest"]["ini_options"]["testpaths"]

    forgotten = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if not any(path.is_relative_to(ROOT / directory) for directory in run)
    ]

    assert forgotten == []
