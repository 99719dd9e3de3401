"""A backup as one file: a tar whose pieces are sealed by age.

    README.txt       how to open it without this program
    identity.age     the key of this backup, under the passphrase
    parts/….age      what it holds, each sealed to that key
    manifest.json    what there is, with sizes and checksums; readable by anybody, so nothing secret
    seal.age         the manifest's checksum, sealed: a manifest that somebody changed is found out

Everything is written and read as a stream. What is sealed lies nowhere in clear. Blocking.
"""

import hashlib
import tarfile
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from appliance.backups import manifest as manifests
from appliance.backups.errors import BackupDamagedError, PassphraseError
from appliance.backups.model import Manifest, Part
from appliance.backups.passphrase_seal import WrongPassphraseError, seal, unseal
from appliance.backups.progress import OnBytes

README = "README.txt"
IDENTITY = "identity.age"
MANIFEST = "manifest.json"
SEAL = "seal.age"
#: The smallest passphrase, in characters.
MIN_PASSPHRASE = 12
#: A manifest larger than this is none.
_SMALL = 64 * 1024**2
_README = """This is a backup of MCP Host. 'mcp-host restore FILE' brings it back.

Without MCP Host: age (https://age-encryption.org) opens every part, with the passphrase of the backup.

    tar xf FILE
    age -d -i identity.age -o database.dump parts/database.dump.age
    pg_restore --list database.dump

manifest.json says what there is. Parts whose names end in .tar.gz.age are archives of files.
"""
_BLOCK = tarfile.BLOCKSIZE


class Readable(Protocol):
    """What a part is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes; none at the end."""


class Writable(Protocol):
    """What a part is written to."""

    def write(self, data: bytes, /) -> int:
        """Take all of ``data``."""


class _Measured:
    """Passes bytes on, with their number and checksum."""

    def __init__(self, to: Writable | None, on_bytes: OnBytes | None = None) -> None:
        self._to = to
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self.size = 0
        self.fault: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self.take(data)
            if self._to is not None:
                self._to.write(data)
        except BaseException as fault:
            self.fault = fault
            raise
        return len(data)

    def take(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        if self._on_bytes is not None:
            self._on_bytes(len(data))

    def flush(self) -> None:
        """Nothing is held back here."""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class _MeasuredReader:
    def __init__(self, source: Readable) -> None:
        self._source = source
        self.size = 0
        self.fault: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._source.read(size)
        except BaseException as fault:
            self.fault = fault
            raise
        self.size += len(data)
        return data


@dataclass(frozen=True)
class Key:
    """The key of one backup."""

    identity: Any = field(repr=False)
    #: The same under the passphrase.
    sealed: bytes = field(repr=False)


def new_key(passphrase: str) -> Key:
    """Make a key that the passphrase opens; takes half a second, so that guessing does too.

    Raises:
        PassphraseError: The passphrase is too short.
    """
    from pyrage import x25519  # noqa: PLC0415 - megabytes that only a backup needs

    require_passphrase(passphrase)
    identity = x25519.Identity.generate()
    return Key(identity, seal(f"{identity}\n".encode(), passphrase))


class PackWriter:
    """Writes one backup into a file that can be sought in.

    Args:
        file: Empty.
        key: Opens it again.
        on_bytes: Told of every piece that was written.
    """

    def __init__(
        self, file: IO[bytes], key: Key, *, on_bytes: OnBytes | None = None
    ) -> None:
        """Begin with what is there in every backup."""
        self._file = file
        self._on_bytes = on_bytes
        self._recipient = key.identity.to_public()
        self.parts: list[Part] = []
        self._add(README, _README.encode())
        self._add(IDENTITY, key.sealed)

    def _add(self, name: str, data: bytes) -> None:
        self._file.write(_header(name, len(data)))
        self._file.write(data)
        self._pad(len(data))

    def _pad(self, size: int) -> None:
        self._file.write(bytes(-size % _BLOCK))

    def add_part(self, name: str, what: str, source: Readable) -> Part:
        """Seal everything that ``source`` gives as ``parts/<name>.age``."""
        import pyrage  # noqa: PLC0415 - see above

        file = f"parts/{name}.age"
        begins_at = self._file.tell()
        self._file.write(_header(file, 0))
        reader, writer = _MeasuredReader(source), _Measured(self._file, self._on_bytes)
        try:
            pyrage.encrypt_io(reader, writer, [self._recipient])
        except (pyrage.EncryptError, OSError) as error:
            # The library tells only the words of what was raised on either side of it.
            raise reader.fault or writer.fault or error from error
        self._pad(writer.size)
        ends_at = self._file.tell()
        # Only now is known how much it was.
        self._file.seek(begins_at)
        self._file.write(_header(file, writer.size))
        self._file.seek(ends_at)
        part = Part(file, what, writer.size, writer.sha256, reader.size)
        self.parts.append(part)
        return part

    def mark(self) -> tuple[int, int]:
        """Return a place to which ``back_to`` goes."""
        return self._file.tell(), len(self.parts)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forget everything that was written since ``mark``."""
        place, parts = mark
        self._file.seek(place)
        self._file.truncate()
        del self.parts[parts:]

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and its seal; the file is whole then."""
        import pyrage  # noqa: PLC0415 - see above

        text = manifests.write(manifest)
        self._add(MANIFEST, text)
        digest = hashlib.sha256(text).hexdigest().encode()
        self._add(SEAL, pyrage.encrypt(digest, [self._recipient]))
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()


class PackReader:
    """Reads one backup from a file that can be sought in."""

    def __init__(self, file: IO[bytes]) -> None:
        """Find its pieces.

        Raises:
            BackupDamagedError: It is no backup, or cut off.
        """
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    self._places[member.name] = (member.offset_data, member.size)
        except tarfile.TarError as error:
            raise BackupDamagedError(
                "The file is no backup, or it is cut off."
            ) from error
        missing = [
            name for name in (IDENTITY, MANIFEST, SEAL) if name not in self._places
        ]
        if missing:
            raise BackupDamagedError(
                f"The file is no backup, or it is cut off: {missing[0]} is not in it."
            )
        self._text = self._small(MANIFEST)
        self.manifest = manifests.read(self._text)

    def _small(self, name: str) -> bytes:
        place, size = self._places[name]
        if size > _SMALL:
            raise BackupDamagedError(f"{name} is too large to be what it should be.")
        self._file.seek(place)
        return self._file.read(size)

    def unlock(self, passphrase: str) -> Any:
        """Return the backup's key.

        Raises:
            PassphraseError: The passphrase does not open it.
        """
        from pyrage import x25519  # noqa: PLC0415 - megabytes that only a backup needs

        try:
            text = unseal(self._small(IDENTITY), passphrase).decode().strip()
        except WrongPassphraseError as error:
            raise PassphraseError.field(
                "passphrase", "it does not open this backup."
            ) from error
        identity = x25519.Identity.from_str(text)
        self.check_seal(identity)
        return identity

    def check_seal(self, identity: Any) -> None:
        """Look whether the manifest is what was sealed.

        Raises:
            BackupDamagedError: Somebody changed it.
        """
        import pyrage  # noqa: PLC0415 - see above

        try:
            sealed = pyrage.decrypt(self._small(SEAL), [identity])
        except pyrage.DecryptError as error:
            raise BackupDamagedError("The seal is not that of this backup.") from error
        if sealed.decode() != hashlib.sha256(self._text).hexdigest():
            raise BackupDamagedError(
                "manifest.json is not what was sealed: somebody changed it."
            )

    def part(self, name: str) -> Part | None:
        """Return the part ``parts/<name>.age``; ``None``: it is not in this backup."""
        file = f"parts/{name}.age"
        return next((part for part in self.manifest.parts if part.file == file), None)

    def open_part(
        self,
        part: Part,
        identity: Any,
        to: Writable | None,
        *,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Write what was sealed into ``to``; without it, only look whether it is whole.

        Raises:
            BackupDamagedError: It is not what the manifest says, or does not open. What was written until then is of no use.
        """
        import pyrage  # noqa: PLC0415 - see above

        if part.file not in self._places:
            raise BackupDamagedError(f"{part.file} is not in the backup.")
        place, size = self._places[part.file]
        source = _Slice(self._file, place, size, _Measured(None, on_bytes))
        sink = _Measured(to)
        try:
            pyrage.decrypt_io(source, sink, [identity])
        except (pyrage.DecryptError, OSError) as error:
            if sink.fault is not None:
                raise sink.fault from error
            raise BackupDamagedError(
                f"{part.file} does not open: it is damaged."
            ) from error
        source.finish()
        found = (source.measured.size, source.measured.sha256, sink.size)
        if found != (part.size_bytes, part.sha256, part.plain_bytes):
            raise BackupDamagedError(f"{part.file} is not what the manifest says.")


class _Slice:
    """A piece of a file, measured as it is read."""

    def __init__(
        self, file: IO[bytes], place: int, size: int, measured: _Measured
    ) -> None:
        self._file = file
        self._left = size
        self.measured = measured
        file.seek(place)

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= len(data)
        self.measured.take(data)
        return data

    def finish(self) -> None:
        """Read what was not asked for."""
        while self._left and self.read(_SMALL // 64):
            pass


def require_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that can be guessed.

    Raises:
        PassphraseError: It is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise PassphraseError.field(
            "passphrase",
            f"it must have at least {MIN_PASSPHRASE} characters; make one with: openssl rand -base64 24",
        )


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info.tobuf(tarfile.GNU_FORMAT)
