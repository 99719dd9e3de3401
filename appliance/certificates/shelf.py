"""The files that Nginx serves: one for each name, made of what Postgres has, and never exchanged for something worse."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from appliance.certificates import pem
from appliance.certificates.errors import CertificateInvalidError
from appliance.certificates.model import Issued, covers
from appliance.core.front_door import BOX, CERTIFICATES, certificate_file
from appliance.infra.handed_files import Reader, hand_directory, hand_file

log = structlog.get_logger("certificates")

_SUFFIX = ".pem"


@dataclass(frozen=True)
class OnShelf:
    """What lies there for a name."""

    fingerprint: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime


class Shelf:
    """The directory of PEM files. All of it is blocking.

    Args:
        proxy_dir: What the front door serves from.
        reader: Who else may read the files.
    """

    def __init__(self, proxy_dir: Path, reader: Reader) -> None:
        """Keep where it is."""
        self._proxy_dir = proxy_dir
        self._reader = reader
        #: What was read or written last, so that a look at thousands of names reads no file twice.
        self._known: dict[str, tuple[int, OnShelf]] = {}

    def prepare(self) -> None:
        """Make the directories."""
        for path in (self._proxy_dir, self._proxy_dir / CERTIFICATES):
            hand_directory(path, self._reader)

    def look(self, host: str) -> OnShelf | None:
        """Return what is served for ``host``; ``None``: nothing that Nginx could read."""
        path = certificate_file(self._proxy_dir, host)
        try:
            stamp = path.stat().st_mtime_ns
            known = self._known.get(host)
            if known is not None and known[0] == stamp:
                return known[1]
            found = _read(path.read_text())
        except (OSError, UnicodeDecodeError, CertificateInvalidError):
            self._known.pop(host, None)
            return None
        self._known[host] = (stamp, found)
        return found

    def put(self, host: str, issued: Issued, now: datetime) -> bool:
        """Serve ``issued`` for ``host`` from the next handshake on; return whether anything changed.

        Raises:
            CertificateInvalidError: It would be refused by clients; what was there is still served.
            OSError: It could not be written; what was there is still served.
        """
        lying = self.look(host)
        if lying is not None and lying.fingerprint == issued.fingerprint:
            return False
        hosts = () if host == BOX else (host,)
        whole = pem.read(issued.chain, issued.key, now=now, hosts=hosts)
        path = certificate_file(self._proxy_dir, host)
        hand_file(path, whole.chain.encode() + whole.key, self._reader)
        log.info("certificates.laid", host=host, until=whole.not_after.isoformat())
        return True

    def remove(self, host: str) -> bool:
        """Serve nothing for ``host`` any more; return whether there was something."""
        self._known.pop(host, None)
        path = certificate_file(self._proxy_dir, host)
        is_there = path.exists()
        path.unlink(missing_ok=True)
        return is_there

    def hosts(self) -> set[str]:
        """Return the names for which something lies there."""
        found = (self._proxy_dir / CERTIFICATES).glob(f"*{_SUFFIX}")
        names = (path.name.removesuffix(_SUFFIX) for path in found)
        return {name.replace("_", "*", 1) for name in names if name[:1] != "."}


def _read(text: str) -> OnShelf:
    issued = pem.described(text, b"")
    return OnShelf(
        issued.fingerprint,
        issued.names,
        issued.issuer,
        issued.not_before,
        issued.not_after,
    )


def is_better(
    lying: OnShelf | None,
    fresh: Issued,
    *,
    host: str,
    now: datetime,
    fresh_is_own: bool,
    lying_is_own: bool,
) -> bool:
    """Return whether ``fresh`` should take the place of what is served for ``host``. Pure.

    What everybody trusts is not exchanged for what our own authority says, and nothing for what was issued earlier: a database
    that was brought back from a backup may know less than the disk.
    """
    if lying is None or lying.not_after <= now:
        return True
    if host != BOX and not covers(lying.names, host):
        return True
    if fresh_is_own != lying_is_own:
        return lying_is_own
    return fresh.not_before >= lying.not_before
