"""Backups in an S3-compatible store."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance.backups.errors import TargetError, TargetUnavailableError
from appliance.backups.naming import parse
from appliance.backups.progress import OnBytes
from appliance.backups.targets.address import S3Address
from appliance.backups.targets.port import Kept
from appliance.settings import Settings

_CHUNK = 1024**2
#: What is sent at once, and how many pieces a file may have.
_PIECE_BYTES = 16 * 1024**2
_PIECES = 9_000
_TYPE = "application/x-tar"
#: Seconds until a store counts as away.
_CONNECT_S, _SILENT_S = 15, 120


class _Passing:
    """Reads a file and tells how far."""

    def __init__(self, source: Any, on_bytes: OnBytes) -> None:
        self._source = source
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._source.read(size)
        self._on_bytes(len(data))
        return data


@dataclass(frozen=True)
class S3Target:
    """See ``Target``."""

    address: S3Address
    #: The library's client.
    client: Any

    @property
    def words(self) -> str:
        """Where it is."""
        return str(self.address)

    def _key(self, name: str) -> str:
        return f"{self.address.prefix}/{name}" if self.address.prefix else name

    def check(self) -> str:
        """Write something, read it, remove it."""
        import io  # noqa: PLC0415 - as the library's own

        name, data = f".trial-{secrets.token_hex(4)}", b"trial"
        with _told(self.address):
            self.client.put_object(
                self.address.bucket, self._key(name), io.BytesIO(data), len(data)
            )
            self.client.stat_object(self.address.bucket, self._key(name))
            self.client.remove_object(self.address.bucket, self._key(name))
        return f"{self.address} can be written to and read."

    def place(self, staging: Path) -> Path:
        """Return the staging directory: a store takes whole files only."""
        return staging

    def put(self, file: Path, name: str, on_bytes: OnBytes) -> None:
        """Send a file in pieces; it shows under its name when the last one came."""
        length = file.stat().st_size
        piece = max(_PIECE_BYTES, -(-length // _PIECES))
        with _told(self.address), file.open("rb") as source:
            self.client.put_object(
                self.address.bucket,
                self._key(name),
                _Passing(source, on_bytes),
                length,
                content_type=_TYPE,
                part_size=piece,
                num_parallel_uploads=1,
            )

    def same(self, file: Path, name: str, sha256: str, on_bytes: OnBytes) -> bool:  # noqa: ARG002 - what lies there counts
        """Read back what lies there."""
        found = hashlib.sha256()
        for chunk in self._stream(name):
            found.update(chunk)
            on_bytes(len(chunk))
        return found.hexdigest() == sha256

    def fetch(self, name: str, to: Path, on_bytes: OnBytes) -> None:
        """Bring a file."""
        with to.open("wb") as copy:
            for chunk in self._stream(name):
                copy.write(chunk)
                on_bytes(len(chunk))

    def _stream(self, name: str) -> Iterator[bytes]:
        with _told(self.address):
            answer = self.client.get_object(self.address.bucket, self._key(name))
            try:
                yield from answer.stream(_CHUNK)
            finally:
                answer.close()
                answer.release_conn()

    def names(self) -> list[Kept]:
        """Return what is kept."""
        prefix = self._key("")
        with _told(self.address):
            found = list(self.client.list_objects(self.address.bucket, prefix=prefix))
        items = ((item.object_name.removeprefix(prefix), item.size) for item in found)
        return [Kept(name, int(size or 0)) for name, size in items if parse(name)]

    def remove(self, name: str) -> None:
        """Remove a file."""
        with _told(self.address):
            self.client.remove_object(self.address.bucket, self._key(name))


def s3_target(address: S3Address, settings: Settings) -> S3Target:
    """Return the target with a client of its own.

    Raises:
        TargetError: BACKUP_S3_ENDPOINT is no address.
    """
    from minio import Minio  # noqa: PLC0415 - megabytes that only an S3 target needs

    parts = urlsplit(settings.backup_s3_endpoint)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):  # fmt: skip
        raise TargetError.field(
            "BACKUP_S3_ENDPOINT", "give such as https://s3.example.org"
        )
    secret = settings.backup_s3_secret_key
    client = Minio(
        parts.netloc,
        access_key=settings.backup_s3_access_key,
        secret_key=secret.get_secret_value() if secret else None,
        secure=parts.scheme == "https",
        region=settings.backup_s3_region,
        http_client=_connections(settings.ca_bundle),
    )
    return S3Target(address, client)


def _connections(ca_bundle: Path) -> Any:
    """Return connections that give up sooner than the library's own, which wait for five minutes."""
    import urllib3  # noqa: PLC0415 - as the library's own

    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=_SILENT_S),
        retries=urllib3.Retry(
            total=3, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504)
        ),
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(ca_bundle) if ca_bundle.is_file() else None,
    )


@contextmanager
def _told(address: S3Address) -> Iterator[None]:
    """Turn what the library raises into one error."""
    from minio.error import MinioException  # noqa: PLC0415 - see above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except MinioException as error:
        what = getattr(error, "code", "") or type(error).__name__
        raise TargetUnavailableError(
            f"{address} answered: {what}. {getattr(error, 'message', '') or ''}".strip(),
            hint="BACKUP_S3_ENDPOINT, -_ACCESS_KEY, -_SECRET_KEY and -_REGION must be those of the bucket.",
        ) from error
    except HTTPError as error:
        raise TargetUnavailableError(
            f"{address} does not answer: {type(error).__name__}.",
            hint="Is BACKUP_S3_ENDPOINT right, and does this box reach it?",
        ) from error
