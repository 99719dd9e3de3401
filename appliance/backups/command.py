"""Backups from the box itself: what the commands do, and what the hub starts as a process of its own. Blocking."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from appliance.accounts.model import SYSTEM
from appliance.backups import passphrases, restoring, store
from appliance.backups.box import Volumes, alone, database_running, engine_address
from appliance.backups.errors import (
    BackupCancelledError,
    BackupFailedError,
)
from appliance.backups.finishing import finisher, rebuild
from appliance.backups.making import Made, Maker, verify
from appliance.backups.model import Backup, BackupState, Manifest
from appliance.backups.naming import BackupName
from appliance.backups.progress import Progress, Tell
from appliance.backups.targets.opening import default_target, open_target, split
from appliance.backups.targets.port import Kept
from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.egress import start as egress
from appliance.infra import migrations
from appliance.infra.database import Database
from appliance.infra.identity import installation_id, known_installation_id
from appliance.observability.audit import Outcome, record
from appliance.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """A backup that somebody asked for."""

    #: ``None``: BACKUP_TARGET.
    target: str | None = None
    passphrase_file: Path | None = None
    #: The row that the hub made of it; ``None``: there is none yet.
    backup_id: int | None = None


def make(settings: Settings, wanted: Wanted, *, version: str, tell: Tell) -> Made:
    """Make a backup and write what becomes of it into the database.

    Raises:
        DomainError: It could not be made; says why.
    """
    passphrase = passphrases.find(wanted.passphrase_file, settings, is_new=True)
    target_text = wanted.target or default_target(settings)
    target = open_target(target_text, settings)
    with (
        _interruptible(),
        database_running(settings) as url,
        alone(url),
        _database(url) as database,
    ):
        row = _row(database, settings, wanted, target_text)
        volumes = Volumes(
            settings,
            owner=installation_id(settings.data_dir),
            address=engine_address(settings),
            disks=settings.data_disks_dir.absolute(),
        )
        maker = Maker(settings, url=url, volumes=volumes, version=version)
        name = BackupName(
            volumes.engine.owner, row.started_at, is_scheduled=row.is_scheduled
        )
        progress = Progress(_telling(database, row.id, tell))
        with _recorded(database, row):
            made = maker.make(target, name, passphrase, progress)
        database.run_blocking(_succeed, row, made)
        return made


def _row(database: Database, settings: Settings, wanted: Wanted, target: str) -> Backup:
    """Return the row of this backup; what was left running by a process that was killed is ended first."""

    def write() -> Backup:
        if wanted.backup_id is not None:
            return store.get(wanted.backup_id)
        store.end_abandoned()
        name = BackupName(installation_id(settings.data_dir), now(), is_scheduled=False)
        row = store.begin(
            str(name), target, is_scheduled=False, requested_by=SYSTEM.name
        )
        record(SYSTEM, "backup.start", object_type="backup", object_id=row.id, object_name=row.name)  # fmt: skip
        return row

    return database.run_blocking(write)


def _telling(database: Database, backup_id: int, tell: Tell) -> Tell:
    """Return what tells the terminal, the row and pages, and ends the work when somebody asked for that."""

    def told(progress: Progress) -> None:
        tell(progress)
        if database.run_blocking(store.note_progress, backup_id, progress.data):
            raise BackupCancelledError("The backup was cancelled.")

    return told


@contextmanager
def _recorded(database: Database, row: Backup) -> Iterator[None]:
    """Write how a backup ended that did not succeed."""
    try:
        yield
    except BackupCancelledError as error:
        database.run_blocking(_end, row, BackupState.CANCELLED, error.reason)
        raise
    except KeyboardInterrupt:
        why = "It was interrupted."
        database.run_blocking(_end, row, BackupState.CANCELLED, why)
        raise
    except DomainError as error:
        database.run_blocking(_end, row, BackupState.FAILED, error.reason)
        raise
    except OSError as error:
        failed = BackupFailedError(
            f"The backup could not be written: {error.strerror or error}."
        )
        database.run_blocking(_end, row, BackupState.FAILED, failed.reason)
        raise failed from error


def _end(row: Backup, state: BackupState, why: str) -> None:
    store.end(row.id, state, why)
    record(
        SYSTEM,
        f"backup.{state.value}",
        object_type="backup",
        object_id=row.id,
        object_name=row.name,
        outcome=Outcome.FAILED if state is BackupState.FAILED else Outcome.ALLOWED,
        reason=why,
    )


def _succeed(row: Backup, made: Made) -> None:
    store.succeed(
        row.id,
        size_bytes=made.size_bytes,
        summary=summary(made.manifest),
        verified=True,
    )
    if made.removed:
        store.mark_deleted(row.target, list(made.removed))
    record(
        SYSTEM,
        "backup.succeeded",
        object_type="backup",
        object_id=row.id,
        object_name=row.name,
        details={"size_bytes": made.size_bytes, "removed": list(made.removed)},
    )


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what is shown of a backup. Pure."""
    return {
        "version": manifest.version,
        "schema": manifest.schema,
        "parts": [
            {"what": part.what, "size_bytes": part.size_bytes}
            for part in manifest.parts
        ],
        "servers": [
            {
                "id": server.id,
                "name": server.name,
                "image": server.way.value,
                "data": server.moment.value if server.moment else None,
            }
            for server in manifest.servers
        ],
    }


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url, size=2)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end the work as Ctrl-C does, with everything cleaned up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# -- looking


def kept(settings: Settings, target: str | None) -> tuple[str, list[Kept]]:
    """Return where backups are, and which.

    Raises:
        TargetUnavailableError: The target does not answer.
    """
    text = target or default_target(settings)
    return text, open_target(text, settings).names()


def check(settings: Settings, wanted: Wanted, name: str, *, tell: Tell) -> None:
    """Fetch a backup from its target, read it and open every part; its row learns what came of it.

    Raises:
        BackupDamagedError: It is not whole.
    """
    target_text = wanted.target or default_target(settings)
    passphrase = passphrases.find(wanted.passphrase_file, settings, is_new=False)
    with _database_of(settings) as database:
        try:
            with fetched(
                f"{target_text.rstrip('/')}/{name}", settings, Progress(tell)
            ) as file:
                verify(file, passphrase, Progress(tell))
        except DomainError as error:
            if wanted.backup_id is not None:
                database.run_blocking(
                    store.note_damaged, wanted.backup_id, error.reason
                )
            raise
        if wanted.backup_id is not None:
            database.run_blocking(store.note_verified, wanted.backup_id)


@contextmanager
def _database_of(settings: Settings) -> Iterator[Database]:
    with database_running(settings) as url, _database(url) as database:
        yield database


@contextmanager
def fetched(
    source: str, settings: Settings | None, progress: Progress
) -> Iterator[Path]:
    """Give a backup as a file of this box, fetched where it lies elsewhere.

    Raises:
        TargetUnavailableError: It is not there.
    """
    if "://" not in source:
        path = Path(source)
        if not path.is_file():
            raise BackupFailedError(f"{source} is not a file.")
        yield path
        return
    target, name = split(source)
    progress.begin("fetching the backup")
    known = settings or _without_settings()
    # Where there is room for it; /tmp is often in memory.
    place = known.data_dir if known.data_dir.is_dir() else None
    with TemporaryDirectory(prefix=".fetched-", dir=place) as directory:
        file = Path(directory) / "backup.tar"
        open_target(target, known).fetch(name, file, progress.add)
        yield file


def _without_settings() -> Settings:
    """Return settings for a blank box that has none: what reaches a target comes from the environment."""
    from secrets import token_urlsafe  # noqa: PLC0415 - only here

    from appliance.settings import load_settings  # noqa: PLC0415 - only here

    return load_settings(jwt_secret=token_urlsafe(48))


# -- back


@dataclass(frozen=True)
class Restore:
    """A restore that somebody asked for."""

    source: str
    passphrase_file: Path | None = None
    env_file: Path = Path(".env")
    is_forced: bool = False
    verify_only: bool = False


def restore(
    wanted: Restore,
    settings: Settings | None,
    *,
    version: str,
    migrations_dir: Path,
    tell: Tell,
) -> restoring.Restored:
    """Bring a backup back, or only look whether it is whole.

    Args:
        settings: As they are; ``None``: this box has none yet.
        version: Of this program.

    Raises:
        DomainError: It may not or could not be brought back; says why.
    """
    passphrase = passphrases.find(wanted.passphrase_file, settings, is_new=False)
    progress = Progress(tell)
    with (
        _interruptible(),
        fetched(wanted.source, settings, progress) as path,
        path.open("rb") as file,
    ):
        opened = restoring.open_backup(file, passphrase)
        if wanted.verify_only:
            manifest = restoring.verify(opened, Progress(tell))
            return restoring.Restored(manifest)
        becoming, text = restoring.settings_for(opened, wanted.env_file)
        told = {
            "backup": Path(wanted.source).name,
            "made_at": opened.manifest.created_at.isoformat(),
            "made_by": opened.manifest.version,
            "restored_by": version,
        }
        restorer = restoring.Restorer(
            opened,
            becoming,
            (wanted.env_file, text),
            newest=migrations.read_migrations(migrations_dir)[-1].version,
            finish=finisher(migrations_dir, told=told),
            rebuild=rebuild,
        )
        former = known_installation_id(becoming.data_dir)
        restored = restorer.restore(progress, is_forced=wanted.is_forced)
        if former not in {"", opened.manifest.installation}:
            restored.notes += _clear_away(former, becoming)
        return restored


def _clear_away(former: str, settings: Settings) -> list[str]:
    """Remove what the installation that was here has outside its directories, but not its servers' data; tell what stays."""
    volumes = Volumes(
        settings,
        owner=former,
        address=engine_address(settings),
        disks=settings.data_disks_dir.absolute(),
    )
    notes = []
    for what, clear in (
        ("Containers", volumes.engine.remove_containers),
        ("Rules of the firewall", partial(egress.remove, settings, former)),
    ):
        try:
            clear()
        except DomainError as error:
            notes.append(
                f"{what} of the installation that was here stay: {error.reason}"
            )
    return notes
