"""The shell scripts, as far as they go without changing this box."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
#: What the scripts themselves are made of; every Debian has these.
ESSENTIAL = ("bash", "chmod", "dirname", "env", "mkdir", "python3", "sed", "tail")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH on which there is no engine, no git and no mmdebstrap."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ESSENTIAL:
        found = shutil.which(name)
        assert found is not None, name
        (directory / name).symlink_to(found)
    return directory


def _run(
    script: str, *arguments: str, path: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    found = dict(os.environ) | environment
    if path is not None:
        found["PATH"] = str(path)
    command: list[str | Path] = [ROOT / "scripts" / script, *arguments]
    return subprocess.run(
        command, env=found, capture_output=True, text=True, check=False, timeout=60
    )


def _library(
    function: str, *arguments: str, cwd: Path = ROOT, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Call one function of the scripts' library in a checkout at ``cwd``."""
    program = f'set -euo pipefail; ROOT={ROOT}; for f in setup appliance; do source "$ROOT/scripts/lib/$f.sh"; done; "$@"'
    command = ["bash", "-c", program, "bash", function, *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_no_install_names_what_is_missing_and_installs_nothing(
    bare_path: Path, tmp_path: Path
) -> None:
    done = _run("quickstart.sh", "--no-install", path=bare_path, TMPDIR=str(tmp_path))

    assert done.returncode == 1
    for what in ("Docker engine", "docker buildx", "git", "mmdebstrap"):
        assert what in done.stderr
    assert "Nothing was installed" in done.stderr


@pytest.mark.parametrize("arguments", [("bogus",), ("--package",), ("--frobnicate",)])
def test_a_wrong_argument_is_refused_before_anything_happens(
    arguments: tuple[str, ...],
) -> None:
    done = _run("quickstart.sh", *arguments)

    assert done.returncode == 1
    assert "--help" in done.stderr


def test_help_tells_every_option() -> None:
    done = _run("quickstart.sh", "--help")

    assert done.returncode == 0
    for option in ("--package", "--git", "--image", "--no-install", "status", "stop"):
        assert option in done.stdout


def test_the_first_run_writes_secrets_that_only_the_owner_reads(tmp_path: Path) -> None:
    first = _library("write_env", cwd=tmp_path)
    written = (tmp_path / ".env").read_text()
    second = _library("write_env", cwd=tmp_path)

    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    secret = next(
        line for line in written.splitlines() if line.startswith("JWT_SECRET=")
    )
    assert len(secret) > len("JWT_SECRET=") + 32
    assert (tmp_path / ".env").read_text() == written


def test_a_failing_step_shows_its_last_output_and_where_the_rest_is(
    tmp_path: Path,
) -> None:
    done = _library(
        "quietly",
        "trial",
        "sh",
        "-c",
        "echo what went wrong; exit 7",
        TMPDIR=str(tmp_path),
    )

    assert done.returncode == 1
    assert "what went wrong" in done.stderr
    assert "exit code 7" in done.stderr
    assert f"{tmp_path}/mcp-host-setup-{os.geteuid()}/trial.log" in done.stderr


def test_a_mirror_is_found_in_the_sources_of_a_debian_box() -> None:
    done = _library("debian_mirror")

    assert done.stdout.startswith(("http://", "https://", "file:", "mirror"))


def test_both_locks_have_a_hash_for_every_package_and_name_no_host() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        pinned = [
            block
            for block in text.split("\n")
            if "==" in block and not block.startswith("#")
        ]
        assert text.count("--hash=sha256:") >= len(pinned) > 0
        assert "://" not in text
