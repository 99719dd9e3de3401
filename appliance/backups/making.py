"""Makes one backup, from the first look at the target to a file that was read back. Blocking."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.backups import configuration, files
from appliance.backups.box import Volumes
from appliance.backups.dump import ServerFacts, Snapshot, snapshot
from appliance.backups.engine import FoundImage
from appliance.backups.errors import BackupDamagedError
from appliance.backups.freezing import Frozen, frozen
from appliance.backups.manifest import FORMAT
from appliance.backups.model import (
    ImageWay,
    KeptImage,
    KeptServer,
    Manifest,
    Moment,
)
from appliance.backups.naming import UNFINISHED, BackupName, parse
from appliance.backups.pack import PackReader, PackWriter, Readable, new_key
from appliance.backups.progress import Progress
from appliance.backups.retention import Keep, superfluous
from appliance.backups.targets.directory import digest
from appliance.backups.targets.port import Target
from appliance.core import labels
from appliance.infra.pipes import Gzipped, written_by
from appliance.settings import Settings

_MIB = 1024**2
#: Steps beside one for each volume: target, database, settings, files, images, reading back, bringing.
_STEPS = 7


@dataclass(frozen=True)
class Made:
    """A backup that is whole and at its target."""

    name: str
    size_bytes: int
    manifest: Manifest
    #: What retention removed.
    removed: tuple[str, ...] = ()


class _TooLargeError(Exception):
    """Images take more than they may."""


class _Limited:
    def __init__(self, source: Readable, limit: int) -> None:
        self._source = source
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _TooLargeError
        return data


class Maker:
    """Makes backups of one installation.

    Args:
        settings: Of this box.
        url: Its database, which answers.
        volumes: Its servers' volumes.
        version: Of this program.
    """

    def __init__(
        self, settings: Settings, *, url: str, volumes: Volumes, version: str
    ) -> None:
        """Keep the parts."""
        self._settings = settings
        self._url = url
        self._volumes = volumes
        self._engine = volumes.engine
        self._version = version
        #: Where a backup is written: never a part of itself.
        self._target: Path | None = None

    def make(
        self, target: Target, name: BackupName, passphrase: str, progress: Progress
    ) -> Made:
        """Make, verify and bring a backup; nothing is left of one that fails.

        Raises:
            DomainError: It could not be made; says why.
        """
        progress.of = _STEPS
        progress.begin("looking at the target")
        target.check()
        place = target.place(self._staging())
        self._target = place.absolute()
        _remove_unfinished(place, name.installation)
        self._engine.clean_up()
        unfinished = place / f"{UNFINISHED}{name}"
        try:
            manifest = self._write(unfinished, name.at, passphrase, progress)
            size = unfinished.stat().st_size
            progress.begin("reading it back")
            whole = verify(unfinished, passphrase, progress)
            progress.begin("bringing it to the target")
            target.put(unfinished, str(name), progress.add)
            if not target.same(unfinished, str(name), whole, progress.add):
                target.remove(str(name))
                raise BackupDamagedError(
                    f"What lies at {target.words} is not what was sent; it was removed."
                )
        finally:
            unfinished.unlink(missing_ok=True)
            self._engine.clean_up()
        removed = self._thin_out(target, name) if name.is_scheduled else ()
        return Made(str(name), size, manifest, removed)

    def _staging(self) -> Path:
        staging = self._settings.data_dir.absolute() / ".backups"
        staging.mkdir(mode=0o700, exist_ok=True)
        return staging

    def _thin_out(self, target: Target, name: BackupName) -> tuple[str, ...]:
        settings = self._settings
        keep = Keep(
            settings.backup_keep_last,
            settings.backup_keep_daily,
            settings.backup_keep_weekly,
        )
        found = [item for kept in target.names() if (item := parse(kept.name))]
        gone = superfluous(found, keep, installation=name.installation)
        for item in gone:
            target.remove(str(item))
        return tuple(map(str, gone))

    def _write(
        self, path: Path, at: datetime, passphrase: str, progress: Progress
    ) -> Manifest:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file, snapshot(self._url) as moment:
            writer = PackWriter(file, new_key(passphrase), on_bytes=progress.add)
            manifest = self._fill(writer, moment, at, progress)
            writer.finish(manifest)
            os.fsync(file.fileno())
        return manifest

    def _fill(
        self, writer: PackWriter, moment: Snapshot, at: datetime, progress: Progress
    ) -> Manifest:
        servers, images = moment.servers(), moment.images()
        known = {server.id for server in servers}
        volumes = {n: name for n, name in self._engine.volumes().items() if n in known}
        progress.of = _STEPS + len(volumes)
        progress.begin("database")
        with moment.dumped() as stream:
            writer.add_part("database.dump", "database", stream)
        progress.begin("settings and keys")
        sealed = configuration.write(configuration.read(self._settings))
        writer.add_part("configuration.json", "settings and keys", io.BytesIO(sealed))
        progress.begin("files")
        with written_by(files.archiver(self._settings.data_dir, self._target)) as pipe:
            writer.add_part("files.tar.gz", "files", Gzipped(pipe))
        names = {server.id: server.name for server in servers}
        moments = {}
        running = self._engine.running_servers()
        for number, volume in volumes.items():
            progress.begin(f"/data of {names[number]}")
            moments[number] = self._copy(
                writer, number, volume, is_running=number in running
            )
        found = self._engine.images(images)
        progress.begin("images")
        are_included = self._add_images(writer, list(found.values()))
        return Manifest(
            format=FORMAT,
            version=self._version,
            schema=moment.schema(),
            installation=self._engine.owner,
            created_at=at,
            postgres=moment.dump_major(),
            parts=tuple(writer.parts),
            servers=tuple(
                self._kept(server, found, moments, are_included=are_included)
                for server in servers
            ),
            images=tuple(
                _kept_image(image, item, self._engine.owner)
                for image, item in found.items()
            ),
        )

    def _copy(
        self, writer: PackWriter, number: int, volume: str, *, is_running: bool
    ) -> Moment:
        """Copy one volume, its file system frozen where that can be done."""
        if not is_running and self._volumes.disks.size(volume) is not None:
            self._volumes.ensure(number, disk_bytes=None)
        is_disk = self._volumes.disks.size(volume) is not None
        part = (f"data-{number}.tar.gz", f"/data of server {number}")
        at_most_s = self._settings.backup_freeze_seconds
        if not (is_running and is_disk and at_most_s):
            with self._engine.copied_out(volume) as stream:
                writer.add_part(*part, Gzipped(stream))
            return Moment.RUNNING if is_running else Moment.STILL
        place = Path(self._engine.mount_point(volume))
        with (
            self._engine.looking(volume) as container,
            frozen(place, at_most_s=at_most_s) as outcome,
            self._engine.copied_out_of(container) as stream,
        ):
            writer.add_part(*part, Gzipped(stream))
        return _moment(outcome)

    def _add_images(self, writer: PackWriter, found: Sequence[FoundImage]) -> bool:
        """Add all images unless they are too large; return whether they are in the backup."""
        limit = self._settings.backup_images_max_mib * _MIB
        if not found or not limit:
            return False
        names = sorted(
            {
                name
                for image in found
                for name in (_own_tags(image, self._engine.owner) or (image.id,))
            }
        )
        mark = writer.mark()
        try:
            with self._engine.saved(names) as stream:
                writer.add_part(
                    "images.tar.gz", "images", Gzipped(_Limited(stream, limit))
                )
        except _TooLargeError:
            writer.back_to(mark)
            return False
        return True

    def _kept(
        self,
        server: ServerFacts,
        found: dict[str, FoundImage],
        moments: dict[int, Moment],
        *,
        are_included: bool,
    ) -> KeptServer:
        item = found.get(server.image)
        image = _kept_image(server.image, item, self._engine.owner) if item else None
        volume = self._volumes.name(server.id)
        return KeptServer(
            server.id,
            server.name,
            server.is_wanted,
            _way(server, image, are_included=are_included),
            image,
            moments.get(server.id),
            self._volumes.disks.size(volume) if server.id in moments else None,
        )


def verify(file: Path, passphrase: str, progress: Progress) -> str:
    """Read a backup, open every part, compare every checksum; return the whole file's.

    Raises:
        BackupDamagedError: It is not whole.
        PassphraseError: The passphrase does not open it.
    """
    with file.open("rb") as source:
        reader = PackReader(source)
        identity = reader.unlock(passphrase)
        for part in reader.manifest.parts:
            reader.open_part(part, identity, None, on_bytes=progress.add)
    return digest(file, progress.add)


def _remove_unfinished(place: Path, installation: str) -> None:
    """Remove what a backup that was killed left; the lock says that none is being written."""
    for path in place.glob(f"{UNFINISHED}mcp-host-{installation}-*.tar"):
        path.unlink(missing_ok=True)


def _own_tags(image: FoundImage, owner: str) -> tuple[str, ...]:
    return tuple(tag for tag in image.tags if labels.is_own_tag(tag, owner))


def _kept_image(reference: str, image: FoundImage, owner: str) -> KeptImage:
    return KeptImage(reference, _own_tags(image, owner), image.digests)


def _moment(outcome: Frozen) -> Moment:
    if not outcome.was_frozen:
        return Moment.RUNNING
    return Moment.FROZEN if outcome.to_the_end else Moment.THAWED


def _way(
    server: ServerFacts, image: KeptImage | None, *, are_included: bool
) -> ImageWay:
    if server.is_remote or not server.image:
        return ImageWay.NONE
    if image is None:
        return ImageWay.BUILT
    if are_included:
        return ImageWay.INCLUDED
    return ImageWay.PULLED if image.digests else ImageWay.BUILT
