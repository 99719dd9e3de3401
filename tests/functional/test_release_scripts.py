"""install.sh, release.sh and upgrade.sh, as far as they go without changing this box."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


#: A program begun behind this finds a box without systemd, also where there is one.
WITHOUT_SYSTEMD = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs none /run && exec "$@"',
    "sh",
)


def run(
    script: str,
    *arguments: str | Path,
    home: Path,
    root: Path = ROOT,
    before: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, root / "scripts" / script, *arguments],
        env=os.environ | {"MCP_HOST_HOME": str(home), "MCP_HOST_ETC": str(home / "etc"), "NO_COLOR": "1"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What release.sh makes of this checkout."""
    directory = tmp_path_factory.mktemp("dist")
    done = run("release.sh", "--version", "7.0", directory, home=directory)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A box at release 1.0, as far as upgrade.sh looks."""
    release = tmp_path / "releases/1.0"
    shutil.copytree(ROOT / "migrations", release / "migrations")
    (release / ".complete").touch()
    (tmp_path / "current").symlink_to("releases/1.0")
    return tmp_path


def test_dry_run_tells_every_step_and_takes_none(tmp_path: Path) -> None:
    home = tmp_path / "opt"

    done = run("install.sh", "--dry-run", "--no-systemd", home=home)

    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("would: ")]
    for part in ("put release", "current", "mcp-host.env", "/usr/local/bin"):
        assert any(part in line for line in told), part
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--public-url", "mcp.example.org"), "--public-url: mcp.example.org is no address"),
        (("--acme-email", "nobody"), "--acme-email: nobody is no e-mail address"),
        (("--acme-email",), "--acme-email needs a value"),
        (("--colour",), "Unknown argument: --colour"),
    ],
)  # fmt: skip
def test_bad_options_are_told_by_name(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = run("install.sh", *arguments, home=tmp_path)

    assert done.returncode == 1
    assert told in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide systemd")
def test_without_systemd_it_says_what_else_there_is(tmp_path: Path) -> None:
    done = run("install.sh", "--dry-run", home=tmp_path, before=WITHOUT_SYSTEMD)

    assert done.returncode == 1
    assert "--no-systemd" in done.stderr


def test_a_release_holds_what_runs_and_is_named_for_its_content(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())

    assert "mcp-host-7.0/RELEASE.json" in names
    assert "mcp-host-7.0/appliance/__main__.py" in names
    assert "mcp-host-7.0/systemd/mcp-host.service" in names
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_a_damaged_archive_is_refused(archive: Path, home: Path) -> None:
    damaged = home / archive.name
    damaged.write_bytes(archive.read_bytes()[:-1] + b"x")
    shutil.copy(archive.parent / "SHA256SUMS", home)

    done = run("upgrade.sh", damaged, home=home)

    assert done.returncode == 1
    assert "is not what SHA256SUMS says" in done.stderr


def test_a_signature_is_asked_for_where_there_is_a_key(
    archive: Path, home: Path
) -> None:
    (home / "etc").mkdir()
    key, public = home / "key.pem", home / "etc/release-key.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
    for name in (archive.name, "SHA256SUMS"):
        shutil.copy(archive.parent / name, home)
    unsigned = run("upgrade.sh", home / archive.name, home=home)
    signature, sums = home / "SHA256SUMS.sig", home / "SHA256SUMS"
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", str(sums), "-out", str(signature))  # fmt: skip
    sums.write_text(sums.read_text() + "\n")

    forged = run("upgrade.sh", home / archive.name, home=home)

    assert "SHA256SUMS.sig is missing" in unsigned.stderr
    assert "is not signed with the key" in forged.stderr


def test_a_release_that_lacks_a_migration_is_refused(archive: Path, home: Path) -> None:
    (home / "releases/1.0/migrations/9999_add_more.sql").write_text("SELECT 1;\n")

    done = run("upgrade.sh", archive, home=home)

    assert done.returncode == 1
    assert "lacks migration 9999_add_more.sql" in done.stderr
    assert not (home / "releases/7.0").exists()
    assert not list(home.glob(".unpack.*"))


def test_an_unknown_release_is_told_with_where_it_was_looked_for(home: Path) -> None:
    done = run("upgrade.sh", "8.8", home=home)

    assert done.returncode == 1
    assert f"{home}/archives/mcp-host-8.8.tar.gz" in done.stderr


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
