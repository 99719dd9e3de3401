"""A file system of fixed size for each server's ``/data``, so that what one fills is its own.

An ordinary volume is a directory of the box: who fills it fills the box. Here a sparse file below DATA_DIR holds an ext4 file
system, a loop device makes a disk of it, and the engine mounts that disk under the volume's name. The device is named
by a link that is set right before every use, so that a box that numbers its devices anew after a restart mounts the right
file or none.

This takes root and an engine on the same box. Elsewhere volumes stay directories, and the limit is told to be not enforced.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from appliance.infra.process import Finished, run
from appliance.runtimes.errors import BoxFullError, StartFailedError, no_room
from appliance.runtimes.isolation import DataUse

log = structlog.get_logger(__name__)

PROGRAMS = ("losetup", "mkfs.ext4", "debugfs", "resize2fs", "e2fsck")
#: Where programs of administrators are, whatever our own PATH says.
_SBIN = "/usr/sbin:/sbin"
#: What must stay free on the box for a disk to be made or used: a full box stops more than one server.
MIN_FREE_BYTES = 512 * 1024**2
TIMEOUT_S = 120.0
_LOOP_MAJOR = "7"
#: What the kernel counts a file's room in, whatever the file system's blocks are.
_BLOCK = 512
_NO_LOST_AND_FOUND = "rmdir lost+found"
#: How e2fsck ends when all was well, and when it mended something.
_MENDED = frozenset({0, 1})
#: How often it is looked whether a disk that is not mounted here can be had alone.
_LOOKS = 20
_LOOK_AGAIN_S = 0.25


class DataDisks:
    """Makes, finds and removes the disks of one installation.

    Args:
        directory: Where their files lie; made at first use.
        default_bytes: Size of a disk for which nobody asked another; 0: no disk, a directory without a limit.
    """

    def __init__(self, directory: Path, *, default_bytes: int) -> None:
        """Keep where; nothing is made yet."""
        self._directory = directory
        self.default_bytes = default_bytes
        self._making = asyncio.Lock()

    def _image(self, name: str) -> Path:
        return self._directory / f"{name}.ext4"

    def unavailable(self) -> str:
        """Return why this box has no such disks, in words; empty if it has. Blocking."""
        if os.geteuid() != 0:
            return "the hub does not run as root"
        if not Path("/dev/loop-control").exists():
            return "the kernel has no loop devices"
        missing = [name for name in PROGRAMS if _program(name) is None]
        return f"{', '.join(missing)} is not installed" if missing else ""

    async def ensure(self, name: str, size_bytes: int | None) -> dict[str, str] | None:
        """Return what the engine's ``local`` driver mounts as volume ``name``, made and attached; ``None``: a plain directory.

        A disk that is there takes another size when nobody uses it, if what lies on it fits; one in use grows if the
        box lets us (which takes CAP_SYS_RESOURCE).

        Args:
            name: Of the volume.
            size_bytes: ``None``: as it is, or by default.

        Raises:
            StartFailedError: The box is too full, or the disk could not be made.
        """
        image = self._image(name)
        why_not, size = await asyncio.to_thread(
            lambda: (self.unavailable(), self.size(name))
        )
        wanted = size_bytes or size or self.default_bytes
        if why_not or not wanted:
            return None
        async with self._making:
            await asyncio.to_thread(_prepare, self._directory)
            if size is None:
                await self._make(image, wanted)
            device = await asyncio.to_thread(_device_of, image) or await _attach(image)
            if size is not None and wanted != size:
                await self._resize(image, device, size, wanted)
            link = image.with_suffix(".disk")
            await asyncio.to_thread(_point, link, device)
        return {"type": "ext4", "device": str(link), "o": "nosuid,nodev,discard"}

    async def _make(self, image: Path, size_bytes: int) -> None:
        made = image.with_suffix(".new")
        await asyncio.to_thread(_sparse, made, size_bytes)
        # A small journal and no reserve for root: nearly all of it is the server's.
        await _do(
            "mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4",
            "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", str(made),
        )  # fmt: skip
        # The engine fills an empty volume from the image's /data; a directory in it would keep it from that.
        await _do("debugfs", "-w", "-R", _NO_LOST_AND_FOUND, str(made))
        await asyncio.to_thread(made.rename, image)

    async def _resize(self, image: Path, device: str, size: int, wanted: int) -> None:
        """Make the disk larger or smaller, as far as that can be done now."""
        is_mounted = not await _is_free(device)
        if is_mounted and wanted < size:
            log.info("data_disk_shrinks_later", image=image.name)
            return
        if not is_mounted:
            await _do("e2fsck", "-f", "-p", device, fine=_MENDED)
        if wanted > size:
            await asyncio.to_thread(_stretch, image, wanted)
            await _do("losetup", "--set-capacity", device)
        done = await _run("resize2fs", device, f"{wanted // 1024}K")
        if not is_mounted:
            await _do("debugfs", "-w", "-R", _NO_LOST_AND_FOUND, device)
        if (
            done.code
        ):  # what lies on it is more, or it is in use and the box does not let us
            log.info("data_disk_stays", image=image.name, reason=done.text[-200:])
        kept = size if done.code else wanted
        if kept < max(size, wanted):
            await asyncio.to_thread(os.truncate, image, kept)
            await _do("losetup", "--set-capacity", device)

    async def remove(self, name: str) -> None:
        """Remove the disk of volume ``name``; it may be gone already."""
        image = self._image(name)
        if not await asyncio.to_thread(image.exists):
            return
        async with self._making:
            if device := await asyncio.to_thread(_device_of, image):
                await _do("losetup", "--detach", device)
            for path in (image.with_suffix(".disk"), image):
                await asyncio.to_thread(path.unlink, missing_ok=True)

    def uses(self, names: Iterable[str]) -> dict[str, DataUse]:
        """Return how full the disks of these volumes are, but of those that nobody uses. Blocking."""
        devices, places = _devices(), _mount_points()
        found = {}
        for name in names:
            device = devices.get(str(self._image(name).resolve()), "")
            if device in places:
                seen = os.statvfs(places[device])
                size, free = (
                    seen.f_blocks * seen.f_frsize,
                    seen.f_bavail * seen.f_frsize,
                )
                found[name] = DataUse(size, size - free)
        return found

    def taken(self, name: str) -> int | None:
        """Return what the disk of volume ``name`` takes of the box, mostly less than its size; ``None``: none. Blocking."""
        image = self._image(name)
        return image.stat().st_blocks * _BLOCK if image.exists() else None

    def size(self, name: str) -> int | None:
        """Return how large the disk of volume ``name`` is; ``None``: it has none. Blocking."""
        image = self._image(name)
        return image.stat().st_size if image.exists() else None


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)


async def _run(name: str, *arguments: str) -> Finished:
    program = await asyncio.to_thread(_program, name)
    return await run([program or name, *arguments], timeout_s=TIMEOUT_S)


async def _do(
    name: str, *arguments: str, fine: frozenset[int] = frozenset({0})
) -> Sequence[str]:
    done = await _run(name, *arguments)
    if done.code not in fine:
        if (full := no_room(done.text)) is not None:
            raise full
        raise StartFailedError(
            f"The disk for /data could not be prepared: {name} said: {done.text[-300:]}",
            hint="Look at the box's disk, or set SERVER_DATA_LIMIT_BYTES=0 to use directories without a limit.",
        )
    return done.lines


async def _is_free(device: str) -> bool:
    """Tell whether nobody has it mounted.

    A container that is being made has a copy of all mounts for a moment, also of one that has just ended here.
    """
    for _ in range(_LOOKS):
        if device in await asyncio.to_thread(_mount_points):
            return False
        if await asyncio.to_thread(_opens_alone, device):
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False


def _opens_alone(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


async def _attach(image: Path) -> str:
    lines = await _do("losetup", "--find", "--show", str(image))
    return lines[-1].strip()


def _prepare(directory: Path) -> None:
    """Make the directory, and refuse when the box has no room to spare."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < MIN_FREE_BYTES:
        raise BoxFullError(
            f"This box has only {free // 1024**2} MiB free at {directory}; servers are not started below"
            f" {MIN_FREE_BYTES // 1024**2} MiB.",
            hint="Make room; what waits starts by itself then.",
        )


def _sparse(path: Path, size_bytes: int) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)):
        _stretch(path, size_bytes)


def _stretch(path: Path, size_bytes: int) -> None:
    """Make the file that large; nothing of it is taken yet.

    Raises:
        StartFailedError: No file of the box's disk may be.
    """
    try:
        os.truncate(path, size_bytes)
    except OSError as error:
        raise StartFailedError(
            f"The disk for /data cannot be {size_bytes:,} bytes large: {error.strerror}.",
            hint="Give the server a smaller data_bytes.",
        ) from error


def _point(link: Path, device: str) -> None:
    """Make ``link`` name ``device``, at once and never half."""
    if link.is_symlink() and str(link.readlink()) == device:
        return
    new = link.with_suffix(".link")
    new.unlink(missing_ok=True)
    new.symlink_to(device)
    new.rename(link)


def _devices() -> dict[str, str]:
    """Return the loop device that each file is attached to."""
    found = {}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached while we looked
            name = backing.parent.parent.name
            found[backing.read_text().rstrip("\n")] = f"/dev/{name}"
    return found


def _device_of(image: Path) -> str | None:
    return _devices().get(str(image.resolve()))


def _mount_points() -> dict[str, str]:
    """Return where each loop device is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    fields = (line.split() for line in lines)
    return {
        f"/dev/loop{number}": place
        for _, _, device, _, place, *_ in fields
        for major, _, number in [device.partition(":")]
        if major == _LOOP_MAJOR
    }
