"""A backup as one file."""

import contextlib
import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from appliance.backups.errors import BackupDamagedError, PassphraseError
from appliance.backups.model import Manifest, Part
from appliance.backups.pack import MANIFEST, Key, PackReader, PackWriter, new_key
from appliance.backups.passphrase_seal import WrongPassphraseError, unseal

PASSPHRASE = "correct horse battery"
CANARY = b"canary-0123456789-abcdef"


def manifest(parts: list[Part]) -> Manifest:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    return Manifest(1, "1.0", 56, "0a1b2c3d4e5f", at, 18, tuple(parts), ())


@pytest.fixture(scope="module")
def key() -> Key:
    """Made once: it takes a second on purpose."""
    return new_key(PASSPHRASE)


def packed(key: Key, **parts: bytes) -> bytes:
    file = io.BytesIO()
    writer = PackWriter(file, key)
    for name, data in parts.items():
        writer.add_part(name, name, io.BytesIO(data))
    writer.finish(manifest(writer.parts))
    return file.getvalue()


@pytest.fixture(scope="module")
def backup(key: Key) -> bytes:
    return packed(key, secret=CANARY * 10_000, nothing=b"")


def opened(data: bytes, key: Key) -> dict[str, bytes]:
    reader = PackReader(io.BytesIO(data))
    reader.check_seal(key.identity)
    found = {}
    for part in reader.manifest.parts:
        to = io.BytesIO()
        reader.open_part(part, key.identity, to)
        found[part.what] = to.getvalue()
    return found


def test_what_was_sealed_comes_out_again_and_shows_nowhere(
    backup: bytes, key: Key
) -> None:
    assert opened(backup, key) == {"secret": CANARY * 10_000, "nothing": b""}
    assert CANARY not in backup


def test_anybodys_age_opens_it_with_the_passphrase(
    backup: bytes, tmp_path: Path
) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own
    identity = _by_the_library((tmp_path / "identity.age").read_bytes())

    key = pyrage.x25519.Identity.from_str(identity.decode().strip())
    sealed = (tmp_path / "parts/secret.age").read_bytes()
    assert pyrage.decrypt(sealed, [key]) == CANARY * 10_000


def _by_the_library(sealed: bytes) -> bytes:
    """Open it as others do. The library measures the box, and may find the work too much for a busy one; so it looks again."""
    for _ in range(20):
        with contextlib.suppress(pyrage.DecryptError):
            return bytes(pyrage.passphrase.decrypt(sealed, PASSPHRASE))
    return b""


def test_a_key_that_somebody_changed_opens_nothing(key: Key) -> None:
    assert unseal(key.sealed, PASSPHRASE).startswith(b"AGE-SECRET-KEY-1")
    with pytest.raises(WrongPassphraseError):
        unseal(key.sealed[:-1] + bytes([key.sealed[-1] ^ 1]), PASSPHRASE)
    with pytest.raises(WrongPassphraseError):
        unseal(key.sealed.replace(b" 17\n", b" 99\n"), PASSPHRASE)


def test_a_wrong_passphrase_opens_nothing(backup: bytes) -> None:
    with pytest.raises(PassphraseError):
        PackReader(io.BytesIO(backup)).unlock("another long passphrase")


def test_a_short_passphrase_seals_nothing() -> None:
    with pytest.raises(PassphraseError, match="12 characters"):
        new_key("short")


def test_one_changed_byte_is_found(backup: bytes, key: Key) -> None:
    place = backup.index(b"parts/secret.age") + 512 + 70_000
    changed = bytearray(backup)
    changed[place] ^= 1

    with pytest.raises(BackupDamagedError, match=r"secret\.age"):
        opened(bytes(changed), key)


def test_a_manifest_that_somebody_changed_is_found(backup: bytes, key: Key) -> None:
    changed = backup.replace(b'"version": "1.0"', b'"version": "9.9"')

    assert changed != backup
    with pytest.raises(BackupDamagedError, match=MANIFEST):
        opened(changed, key)


def test_a_file_that_was_cut_off_is_none(backup: bytes, key: Key) -> None:
    for size in (0, 100, len(backup) // 2):
        with pytest.raises(BackupDamagedError):
            opened(backup[:size], key)


def test_what_was_begun_can_be_taken_back(key: Key) -> None:
    file = io.BytesIO()
    writer = PackWriter(file, key)
    writer.add_part("kept", "kept", io.BytesIO(b"1"))
    mark = writer.mark()
    writer.add_part("dropped", "dropped", io.BytesIO(b"2" * 100_000))

    writer.back_to(mark)
    writer.add_part("last", "last", io.BytesIO(b"3"))
    writer.finish(manifest(writer.parts))

    assert opened(file.getvalue(), key) == {"kept": b"1", "last": b"3"}


def test_memory_does_not_grow_with_what_passes(key: Key) -> None:
    """Pieces that are asked for and written stay small, however much there is."""

    class Much:
        left, asked = 64 * 1024**2, 0

        def read(self, size: int = -1) -> bytes:
            self.asked = max(self.asked, size)
            given = min(self.left, size if size > 0 else 2**30)
            self.left -= given
            return bytes(given)

    class Sink(io.BytesIO):
        largest = 0

        def write(self, data: Any) -> int:
            self.largest = max(self.largest, len(data))
            self.seek(0)  # keeps nothing
            return super().write(data)

    source, sink = Much(), Sink()
    writer = PackWriter(sink, key)
    writer.add_part("much", "much", source)

    assert source.left == 0
    assert max(source.asked, sink.largest) < 1024**2


def test_what_a_reader_raises_comes_through(key: Key) -> None:
    class Broken:
        def read(self, _size: int = -1) -> bytes:
            raise TimeoutError("somebody cancelled")

    with pytest.raises(TimeoutError, match="cancelled"):
        PackWriter(io.BytesIO(), key).add_part("broken", "broken", Broken())
