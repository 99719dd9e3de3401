"""Brings a backup back onto a box, beside what is there until all of it is whole. Blocking.

Everything is unpacked below DATA_DIR/.restoring, the database into a cluster of its own, where migrations run and chains are
checked. Only then are directories renamed into place. So a restore that fails or is killed leaves the box as it was, and the
next one begins anew.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dotenv import dotenv_values

from appliance.backups import configuration, dump, files, manifest
from appliance.backups.box import Volumes, answers, database_running, engine_address
from appliance.backups.configuration import Configuration
from appliance.backups.errors import RestoreFailedError, RestoreRefusedError
from appliance.backups.model import ImageWay, KeptImage, KeptServer, Manifest, Part
from appliance.backups.pack import PackReader
from appliance.backups.progress import Progress
from appliance.core.clock import now
from appliance.infra.connections import connect, connection_arguments
from appliance.infra.directories import own_directory
from appliance.infra.handed_files import Reader, hand_file
from appliance.infra.pipes import ProgramFailedError, read_by
from appliance.infra.postgres import Cluster, database_url
from appliance.settings import Settings, load_settings

STAGE = ".restoring"
_PASSABLE = 0o711
_PRIVATE = 0o700

#: Told the database's address when it was brought in: migrates it, and returns what is to be known of it.
Finish = Callable[[str], list[str]]
#: Told the database's address and the servers that must be built anew.
Rebuild = Callable[[str, list[int]], None]


@dataclass(frozen=True)
class Opened:
    """A backup that its passphrase opened."""

    reader: PackReader
    identity: Any
    configuration: Configuration

    @property
    def manifest(self) -> Manifest:
        """What it says of itself."""
        return self.reader.manifest


@dataclass
class Restored:
    """What came of it."""

    manifest: Manifest
    #: Servers by how their images came.
    ways: dict[str, ImageWay] = field(default_factory=dict)
    #: Sentences of what is to be known.
    notes: list[str] = field(default_factory=list)
    #: Where what was there before was put; ``None``: there was nothing.
    aside: Path | None = None


class _Collected:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def open_backup(file: IO[bytes], passphrase: str) -> Opened:
    """Open a backup and read its settings.

    Raises:
        BackupDamagedError: It is none, or damaged.
        PassphraseError: The passphrase does not open it.
    """
    reader = PackReader(file)
    identity = reader.unlock(passphrase)
    sealed = _Collected()
    part = _part(reader, "configuration.json")
    reader.open_part(part, identity, sealed)
    return Opened(reader, identity, configuration.parse(bytes(sealed.data)))


def settings_for(opened: Opened, env_file: Path) -> tuple[Settings, str]:
    """Return this box's settings as they will be, and the settings file that makes them so.

    Raises:
        RestoreRefusedError: The environment says something else than the backup where both cannot be.
        SettingsError: They are wrong.
    """
    ours = (
        {key.upper(): value for key, value in dotenv_values(env_file, interpolate=False).items() if value}
        if env_file.is_file()
        else {}
    )  # fmt: skip
    merged = configuration.merged(ours, opened.configuration.settings)
    text = configuration.as_env(merged)
    settings = load_settings(
        **{name.lower(): value for name, value in merged.items() if name not in _in_environment()}
    )  # fmt: skip
    secret = opened.configuration.settings.get("JWT_SECRET")
    if settings.jwt_secret.get_secret_value() != secret:
        raise RestoreRefusedError(
            "JWT_SECRET in the environment is not that of the backup, which seals what is in it.",
            hint="Take it out of the environment; restore writes the right one into the settings file.",
        )
    return settings, text


def _in_environment() -> frozenset[str]:
    """Return the variables that the process's environment says: they stand before any file."""
    return frozenset(name.upper() for name in os.environ)  # noqa: TID251 - only which there are


def verify(opened: Opened, progress: Progress, *, reads_dump: bool = True) -> Manifest:
    """Open every part, compare every checksum, and have the dump read to its end.

    Raises:
        BackupDamagedError: It is not whole.
        ProgramFailedError: The dump is none.
    """
    progress.of = len(opened.manifest.parts)
    for part in opened.manifest.parts:
        progress.begin(part.what)
        is_dump = part.file == "parts/database.dump.age" and reads_dump
        with dump.listed(dump_major=opened.manifest.postgres) if is_dump else nullcontext() as sink:  # fmt: skip
            opened.reader.open_part(part, opened.identity, sink, on_bytes=progress.add)
    return opened.manifest


class Restorer:
    """Brings one backup back.

    Args:
        opened: The backup.
        settings: As they will be.
        env_file: What is written as settings file, and where.
        newest: Number of the newest migration that this program knows.
        finish: See ``Finish``.
        rebuild: See ``Rebuild``.
    """

    def __init__(
        self,
        opened: Opened,
        settings: Settings,
        env_file: tuple[Path, str],
        *,
        newest: int,
        finish: Finish,
        rebuild: Rebuild,
    ) -> None:
        """Keep the parts; nothing is changed yet."""
        self._opened = opened
        self._manifest = opened.manifest
        self._settings = settings
        self._env_file = env_file
        self._newest = newest
        self._finish = finish
        self._rebuild = rebuild
        self._data_dir = settings.data_dir.absolute()
        self._stage = self._data_dir / STAGE
        #: There from the first change to the last: volumes that are found with it are those of a restore that was cut off.
        self._begun = self._data_dir / f".restore-of-{self._manifest.installation}"
        self._volumes = Volumes(
            settings,
            owner=self._manifest.installation,
            address=engine_address(settings),
            disks=settings.data_disks_dir.absolute(),
        )

    def restore(self, progress: Progress, *, is_forced: bool) -> Restored:
        """Bring everything back.

        Raises:
            RestoreRefusedError: It may not be brought back here.
            DomainError: It could not be; the box is as it was, but for volumes and images that came already.
        """
        self.refuse(is_forced=is_forced)
        data = [part for part in self._manifest.parts if "/data-" in part.file]
        progress.of = 5 + len(data)
        self._prepare()
        try:
            return self._bring(progress, data, is_forced=is_forced)
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)
            self._volumes.engine.clean_up()

    def _bring(
        self, progress: Progress, data: list[Part], *, is_forced: bool
    ) -> Restored:
        result = Restored(self._manifest)
        progress.begin("files")
        with read_by(files.unpacker(self._make("files"))) as pipe:
            self._pour(_part(self._opened.reader, "files.tar.gz"), pipe, progress)
        progress.begin("images")
        ways = self._bring_images(progress, result)
        progress.begin("database")
        with self._staged_database() as url:
            replaces = self._settings.database_url is not None and dump.has_tables(url)
            with dump.restored_into(
                url, dump_major=self._manifest.postgres, replaces=replaces
            ) as sink:
                self._pour(_part(self._opened.reader, "database.dump"), sink, progress)
            result.notes += self._finish(url)
            self._settle(url, ways)
        if is_forced:
            self._volumes.engine.remove_containers()
        for part in data:
            progress.begin(part.what)
            self._bring_volume(part, progress)
        progress.begin("putting everything in its place")
        result.aside = self._switch()
        self._begun.unlink()
        result.ways = {
            server.name: ways[server.id] for server in self._manifest.servers
        }
        return result

    # -- before anything is changed

    def refuse(self, *, is_forced: bool) -> None:
        """Look whether the backup may be brought back here.

        Raises:
            RestoreRefusedError: It may not; says what to do.
        """
        manifest.require_known_schema(self._manifest, newest=self._newest)
        own_url = database_url(self._settings)
        is_private = self._settings.database_url is None
        if is_private and answers(own_url):
            raise RestoreRefusedError(
                "The appliance runs.",
                hint="Stop it first: mcp-host down, or: systemctl stop mcp-host",
            )
        if is_forced:
            return
        if self._is_used():
            raise RestoreRefusedError(
                f"This box has people or servers already, in {self._data_dir} or its database.",
                hint="Restore onto a blank box, or say --force: what is here is put aside, and its servers' /data is replaced.",
            )
        if not self._begun.exists() and self._volumes.engine.has_containers():
            raise RestoreRefusedError(
                "The container engine has containers or volumes of this very installation.",
                hint="Is this the box that the backup is of? --force replaces them.",
            )

    def _is_used(self) -> bool:
        has_cluster = (self._settings.postgres_dir / "data").is_dir()
        if self._settings.database_url is None and not has_cluster:
            return False
        with database_running(self._settings) as url:
            return dump.has_people_or_servers(url)

    def _prepare(self) -> None:
        own_directory(self._data_dir, mode=_PASSABLE if os.geteuid() == 0 else _PRIVATE)
        if self._stage.exists():
            shutil.rmtree(self._stage)
        self._stage.mkdir(mode=_PASSABLE)
        self._begun.touch(mode=0o600)

    def _make(self, name: str) -> Path:
        path = self._stage / name
        path.mkdir(mode=_PRIVATE)
        return path

    def _pour(self, part: Part, to: Any, progress: Progress) -> None:
        self._opened.reader.open_part(
            part, self._opened.identity, to, on_bytes=progress.add
        )

    # -- database

    @contextmanager
    def _staged_database(self) -> Iterator[str]:
        if self._settings.database_url is not None:
            yield database_url(self._settings)
            return
        cluster = Cluster(
            self._stage / "postgres",
            self._settings.run_dir.absolute() / "restoring",
        )
        cluster.initialise()
        cluster.start()
        try:
            yield cluster.url()
        finally:
            cluster.stop()

    def _settle(self, url: str, ways: Mapping[int, ImageWay]) -> None:
        """Have the database know that nothing of it runs here yet."""
        connection = connect(connection_arguments(url))
        try:
            with connection.cursor() as cursor:
                cursor.execute(_SETTLE)
                for image in self._manifest.images:
                    if came := self._came_as(image):
                        cursor.execute(
                            "UPDATE deployments SET image = %s WHERE image = %s",
                            (came, image.image),
                        )
        finally:
            connection.close()
        anew = [
            server.id
            for server in self._manifest.servers
            if ways[server.id] is ImageWay.BUILT and server.is_wanted
        ]
        if anew:
            self._rebuild(url, anew)

    def _came_as(self, image: KeptImage) -> str:
        """Return by which id another kind of engine knows an image; empty: by the same, or not at all."""
        found = self._volumes.engine.images([image.image, *image.tags])
        if image.image in found or not found:
            return ""
        return next(iter(found.values())).id

    # -- images

    def _bring_images(
        self, progress: Progress, result: Restored
    ) -> dict[int, ImageWay]:
        engine = self._volumes.engine
        part = self._opened.reader.part("images.tar.gz")
        if part is not None:
            with engine.loading() as sink:
                self._pour(part, sink, progress)
        return {
            server.id: self._way(server, result) for server in self._manifest.servers
        }

    def _way(self, server: KeptServer, result: Restored) -> ImageWay:
        """Have a server's image come, and return how it came."""
        if server.way is ImageWay.NONE or server.image is None:
            return server.way
        if self._volumes.engine.images([server.image.image, *server.image.tags]):
            return server.way
        for digest in server.image.digests:
            try:
                name = (server.image.tags or (server.image.image,))[0]
                self._volumes.engine.pull(digest, name)
            except ProgramFailedError as error:
                result.notes.append(f"{server.name}: {error.detail}")
            else:
                return ImageWay.PULLED
        return ImageWay.BUILT

    # -- /data

    def _bring_volume(self, part: Part, progress: Progress) -> None:
        number = int(part.file.removeprefix("parts/data-").split(".")[0])
        server = next(item for item in self._manifest.servers if item.id == number)
        # What another restore left half done, or what --force replaces.
        self._volumes.remove(number)
        volume = self._volumes.ensure(number, disk_bytes=server.disk_bytes)
        with self._volumes.engine.copied_in(volume) as sink:
            self._pour(part, sink, progress)

    # -- the switch

    def _switch(self) -> Path | None:
        """Rename what was unpacked into place, and what is there aside."""
        aside = self._data_dir / f"before-restore-{now():%Y%m%dT%H%M%SZ}"
        aside.mkdir(mode=_PRIVATE)
        staged = self._stage / "files"
        for path in sorted(staged.iterdir()):
            _swap(path, self._data_dir / path.name, aside / path.name)
        self._write_keys(aside)
        if self._settings.database_url is None:
            home = self._settings.postgres_dir.absolute()
            found = (self._stage / "postgres").stat()
            own_directory(home, mode=_PRIVATE, uid=found.st_uid, gid=found.st_gid)
            _swap(self._stage / "postgres" / "data", home / "data", aside / "postgres")
        path, text = self._env_file
        _write_private(path, text, aside)
        if any(aside.iterdir()):
            return aside
        aside.rmdir()
        return None

    def _write_keys(self, aside: Path) -> None:
        keys = self._opened.configuration.master_keys
        if keys is not None:
            path = self._settings.master_key_file
            path.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            _write_private(path, keys, aside)
        for name, data in self._opened.configuration.files.items():
            path = Path(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _write_private(path, data.decode(errors="surrogateescape"), aside)


_SETTLE = """
DELETE FROM backups WHERE state = 'running';
DELETE FROM instances;
UPDATE servers SET crashes = 0, last_crash_at = NULL;
UPDATE servers SET status = 'queued', status_reason = 'It was restored from a backup and starts.', status_since = now()
    WHERE desired_state = 'running' AND status IN ('starting', 'running', 'degraded');
"""


def _part(reader: PackReader, name: str) -> Part:
    part = reader.part(name)
    if part is None:
        raise RestoreFailedError(f"{name} is not in the backup.")
    return part


def _swap(fresh: Path, place: Path, aside: Path) -> None:
    if place.exists() or place.is_symlink():
        place.rename(aside)
    fresh.rename(place)


def _write_private(path: Path, text: str, aside: Path) -> None:
    """Write a file that its owner alone reads, at once and never half; the old one goes aside."""
    path = path.resolve()
    if path.exists():
        shutil.copy2(path, aside / path.name)
    hand_file(path, text.encode(errors="surrogateescape"), Reader())
