"""The steps of a change of release, each of which either works or says why not. Everything blocks."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from appliance.infra import migrations, postgres_binaries, supervisor
from appliance.infra.connections import connect, connection_arguments
from appliance.infra.postgres import database_url
from appliance.infra.supervisor import SupervisorError
from appliance.infra.turns import State, read_state
from appliance.settings import Settings
from appliance.upgrades.errors import UnfitReleaseError, UpgradeFailedError
from appliance.upgrades.home import Home

TRIAL_S = 120.0
HANDOVER_S = 60.0
READY_S = 90.0
POLL_S = 0.1
#: Between two looks while the new release is watched, and how many bad ones in a row are too many.
WATCH_EVERY_S = 0.5
BAD_LOOKS = 4
DUMPS_KEPT = 2
#: Restarted one after the other; what is hosted, Postgres, Nginx and the gateway go on.
RESTARTED = ("egress", "proxy", "hub")
_LAST_WORDS = 1500


def run(home: Home, version: str, *words: str, within_s: float = TRIAL_S) -> str:
    """Run ``mcp-host`` of a release and return what it printed.

    Raises:
        UpgradeFailedError: It failed; the text has its last words.
    """
    command = [home.command(version), *words]
    told = f"mcp-host {' '.join(words)} of release {version}"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=within_s
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpgradeFailedError(f"{told}: {error}") from error
    if done.returncode:
        words_said = (done.stderr or done.stdout).strip()[-_LAST_WORDS:]
        raise UpgradeFailedError(
            f"{told} ended with exit code {done.returncode}: {words_said}"
        )
    return done.stdout


def check_schema(settings: Settings, release: Path, version: str) -> None:
    """See that a release knows every migration that the database has.

    Raises:
        UnfitReleaseError: It does not: schemas only go forward.
    """
    with closing(connect(connection_arguments(database_url(settings)))) as connection:
        newer = migrations.unknown(connection, release / "migrations")
    if newer:
        raise UnfitReleaseError(
            f"The database has migration {newer[-1]:04d}, which release {version} does not know.",
            hint="Schemas only go forward. scripts/upgrade.sh --rollback goes back to the release before.",
        )


def dump(settings: Settings, version: str) -> Path | None:
    """Write the private cluster's database into a file beside the data; ``None``: it is somebody else's to keep.

    Raises:
        UpgradeFailedError: It could not be written.
    """
    if settings.database_url is not None:
        return None
    place = settings.data_dir / "backups"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = postgres_binaries.resolve(
        postgres_binaries.account(), settings.data_dir.absolute() / "postgres"
    )
    path = place / f"before-{version}.dump"
    scratch = path.with_suffix(".part")
    program = os.fspath(found.directory / "pg_dump")
    command = [program, "--format=custom", database_url(settings)]
    with open(scratch, "wb", opener=_private) as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        scratch.unlink()
        raise UpgradeFailedError(f"pg_dump failed: {done.stderr.strip()}")
    scratch.replace(path)
    dumps = sorted(place.glob("before-*.dump"), key=lambda item: item.stat().st_mtime)
    for old in dumps[:-DUMPS_KEPT]:
        old.unlink()
    return path


def hand_over_gateway(settings: Settings, version: str) -> None:
    """Have the gateway become the release that counts now, which is ``version``.

    Raises:
        UpgradeFailedError: It refused, or did not serve in time.
    """
    before = read_state(settings.run_dir)
    supervisor.send(settings, "gateway", "USR2")
    deadline = time.monotonic() + HANDOVER_S
    while time.monotonic() < deadline:
        now = read_state(settings.run_dir)
        if now is not None and now.is_serving and _is_after(now, before):
            if now.release != version:
                raise UpgradeFailedError(
                    f"The gateway is at {now.release} and not at {version}."
                )
            return
        if now is not None and before is not None and now.refusals > before.refusals:
            raise UpgradeFailedError(now.refused)
        time.sleep(POLL_S)
    raise UpgradeFailedError(
        f"The gateway was not handed over within {HANDOVER_S:g} s."
    )


def restart(settings: Settings, name: str) -> None:
    """Restart one program and wait until it does its work.

    Raises:
        UpgradeFailedError: It does not.
    """
    try:
        supervisor.restart(settings, name)
    except SupervisorError as error:
        raise UpgradeFailedError(error.reason) from error
    if name == "hub":
        wait_ready(settings, pid=running(settings).get(name, 0))


def wait_ready(settings: Settings, *, pid: int | None = None) -> None:
    """Wait until the hub says that it is ready.

    Args:
        settings: Of the box.
        pid: The process that must stay up until then; ``None``: any.

    Raises:
        UpgradeFailedError: It does not say so in time, or ends.
    """
    deadline = time.monotonic() + READY_S
    told = "nothing"
    while time.monotonic() < deadline:
        told = asked(hub_url(settings))
        if not told:
            return
        if pid is not None and running(settings).get("hub") != pid:
            raise UpgradeFailedError("The hub did not stay up; its log says why.")
        time.sleep(POLL_S)
    raise UpgradeFailedError(
        f"The hub was not ready within {READY_S:g} s; it says: {told}"
    )


def watch(settings: Settings, for_s: float) -> None:
    """Look whether everything stays well.

    Raises:
        UpgradeFailedError: Something does not.
    """
    pids = running(settings)
    bad = 0
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        if (now := running(settings)) != pids:
            raise UpgradeFailedError(f"{_changed(pids, now)} did not stay up.")
        told = "; ".join(filter(None, map(asked, _doors(settings, pids))))
        bad = bad + 1 if told else 0
        if bad >= BAD_LOOKS:
            raise UpgradeFailedError(f"Not ready any more: {told}")
        time.sleep(WATCH_EVERY_S)


def running(settings: Settings) -> dict[str, int]:
    """Return the process ids of the programs that run; none: supervisord does not."""
    found = supervisor.status(settings) or []
    return {item.name: item.pid for item in found if item.state == "RUNNING"}


def hub_url(settings: Settings) -> str:
    """Return where the hub says how it is, from this box."""
    return f"http://127.0.0.1:{settings.bind_port}/readyz"


def asked(url: str) -> str:
    """Return what is wrong with what answers at ``url``; empty: it is ready."""
    try:
        with urlopen(url, timeout=10):  # noqa: S310 - our own addresses
            return ""
    except HTTPError as error:
        return f"{error.code} {error.read(_LAST_WORDS).decode(errors='replace')}"
    except OSError as error:  # URLError is one
        return f"{url}: {error}"


def egress_is_same(one: Path, other: Path) -> bool:
    """Whether two releases have the same egress process: restarting it would cut the connections of hosted servers."""
    parts = ("appliance/egress", "appliance/core", "appliance/infra")
    return _content(one, parts) == _content(other, parts)


def _content(release: Path, parts: tuple[str, ...]) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(release)): path.read_bytes()
        for part in parts
        for path in (release / part).rglob("*.py")
    }


def _doors(settings: Settings, pids: dict[str, int]) -> list[str]:
    gateway = settings.mcp_gateway_url.rstrip("/")
    own = [f"{gateway}/readyz"] if "gateway" in pids else []
    return [hub_url(settings), *own]


def _is_after(now: State, before: State | None) -> bool:
    return before is None or (now.pid, now.turn) != (before.pid, before.turn)


def _changed(before: dict[str, int], now: dict[str, int]) -> str:
    names = {name for name in before | now if before.get(name) != now.get(name)}
    return ", ".join(sorted(names))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


#: Says what happens, to whoever watches.
Say = Callable[[str], None]


@contextlib.contextmanager
def ignoring_failure(say: Say) -> Iterator[None]:
    """Tell a failure and go on: on the way back there is nothing better to do."""
    try:
        yield
    except (UpgradeFailedError, SupervisorError) as error:
        say(f"Going on although this failed: {error.reason}")
