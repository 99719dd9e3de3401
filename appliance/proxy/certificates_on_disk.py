"""Which certificates lie where Nginx looks for them, and which of them no client could use."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from appliance.core.front_door import BOX, CERTIFICATES, is_host_name, is_wildcard
from appliance.proxy.model import Quarantined

_SUFFIX = ".pem"
#: A chain and its key; what is longer is something else.
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class Found:
    """What a look at the directory found."""

    #: Hosts and wildcards whose certificates are good, without the box's own.
    good: tuple[str, ...]
    bad: tuple[Quarantined, ...]
    has_own: bool


class Shelf:
    """The directory of certificates; a file is read again only after it was changed."""

    def __init__(self, proxy_dir: Path) -> None:
        """Keep where it is."""
        self._directory = proxy_dir / CERTIFICATES
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}

    def look(self) -> Found:
        """Return what is there. Blocking."""
        problems = dict(self._problems())
        self._known = {
            name: item for name, item in self._known.items() if name in problems
        }
        good = tuple(sorted(name for name, why in problems.items() if not why))
        bad = tuple(
            Quarantined("wildcard" if is_wildcard(name) else "certificate", name, why)
            for name, why in sorted(problems.items())
            if why
        )
        return Found(tuple(item for item in good if item != BOX), bad, BOX in good)

    def _problems(self) -> Iterator[tuple[str, str]]:
        for path in self._directory.glob(f"*{_SUFFIX}"):
            name = path.name.removesuffix(_SUFFIX)
            if name.startswith("_."):
                name = f"*{name[1:]}"
            if not (name == BOX or is_host_name(name) or is_wildcard(name)):
                yield path.name, "This is no name of a host, so nobody gets it."
                continue
            try:
                yield name, self._problem(name, path)
            except FileNotFoundError:
                continue  # somebody has just removed it

    def _problem(self, name: str, path: Path) -> str:
        found = path.stat()
        mark = found.st_mtime_ns, found.st_size, found.st_ino
        known = self._known.get(name)
        if known is None or known[0] != mark:
            known = mark, problem_of(path, found.st_size)
            self._known[name] = known
        return known[1]


def problem_of(path: Path, size: int) -> str:
    """Return why no client could use the file; empty: it is good. Blocking."""
    if size > _MOST_BYTES:
        return "It is larger than a certificate and its key are."
    try:
        data = path.read_bytes()
        chain = x509.load_pem_x509_certificates(data)
        key = serialization.load_pem_private_key(data, password=None)
    except PermissionError:
        return "It cannot be read: it belongs to somebody else."
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "It holds no certificate and key that can be read."
    if _public(chain[0].public_key()) != _public(key.public_key()):
        return "The key is not that of the first certificate."
    return ""


def _public(key: object) -> bytes:
    to_bytes = getattr(key, "public_bytes")  # noqa: B009 - every kind of key has it, and no common type
    found: bytes = to_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found
