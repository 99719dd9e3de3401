"""The box's own certificate before anything else runs: made on the disk alone, since Postgres may not answer yet."""

import ipaddress
import socket
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from appliance.certificates.keys import OWN_CA
from appliance.certificates.own_ca import OwnCa
from appliance.certificates.shelf import Shelf
from appliance.core.clock import now
from appliance.core.front_door import BOX
from appliance.infra.handed_files import Reader, hand_directory, hand_file
from appliance.infra.sealing import Sealer, UnsealError
from appliance.settings import Settings

log = structlog.get_logger("certificates")

#: A leaf of ours is made anew so long before its end.
AHEAD = timedelta(days=30)
_DIRECTORY = "own-ca"


class CaFile:
    """The own CA on the disk: the root as PEM, the key sealed under JWT_SECRET. Blocking.

    Args:
        proxy_dir: What the front door serves from.
    """

    def __init__(self, proxy_dir: Path, sealer: Sealer) -> None:
        """Keep where it is."""
        self._directory = proxy_dir / _DIRECTORY
        self._sealer = sealer

    @property
    def root(self) -> Path:
        """The root, for whoever shall trust it."""
        return self._directory / "root.pem"

    @property
    def _key(self) -> Path:
        return self._directory / "key.sealed"

    def read(self) -> OwnCa | None:
        """Return what lies there; ``None``: nothing that JWT_SECRET opens."""
        try:
            sealed = self._key.read_bytes()
            key = self._sealer.unseal(sealed, OWN_CA)
            return OwnCa.read(self.root.read_text(), key)
        except FileNotFoundError:
            return None
        except (UnsealError, ValueError) as error:
            log.warning("certificates.own_ca_unreadable", error=str(error))
            return None

    def write(self, own: OwnCa) -> None:
        """Keep ``own`` from now on."""
        alone = Reader()
        hand_directory(self._directory, alone)
        sealed = self._sealer.seal(own.key_pem, OWN_CA)
        # The key first: a root without its key would be taken for a whole one by whoever downloads it.
        hand_file(self._key, sealed, alone)
        hand_file(self.root, own.certificate.encode(), alone)

    def ensure(self) -> OwnCa:
        """Return what lies there, made now if there is nothing."""
        found = self.read()
        if found is None:
            found = OwnCa.made(now())
            self.write(found)
            log.info("certificates.own_ca_made", fingerprint=found.fingerprint)
        return found


def ensure_box_certificate(settings: Settings) -> None:
    """Make sure that Nginx has something to serve for the box's own names and addresses. Blocking; needs no Postgres.

    Raises:
        OSError: The files could not be written.
    """
    reader = Reader.named(settings.proxy_user)
    shelf = Shelf(settings.proxy_dir, reader)
    shelf.prepare()
    own = CaFile(settings.proxy_dir, Sealer(*settings.jwt_secrets)).ensure()
    at = now()
    lying = shelf.look(BOX)
    if lying is None or lying.not_after <= at:
        shelf.put(BOX, own.issue(own_names(settings), at), at)


def own_names(settings: Settings) -> tuple[str, ...]:
    """Return all under which the box itself may be asked for, addresses among them."""
    names = [*settings.box_names, *settings.gateway_names, "localhost"]
    return tuple(dict.fromkeys([*names, "127.0.0.1", "::1", *own_addresses()]))


def own_addresses() -> list[str]:
    """Return the address by which this box reaches others, IPv4 and IPv6 where it has them."""
    found = []
    for family, there in (
        (socket.AF_INET, "203.0.113.1"),
        (socket.AF_INET6, "2001:db8::1"),
    ):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as trial:
                trial.connect((there, 9))  # sends nothing
                found.append(str(ipaddress.ip_address(trial.getsockname()[0])))
        except OSError:
            continue
    return found


def is_due(not_after: datetime, at: datetime) -> bool:
    """Return whether a certificate of our own that ends then is made anew."""
    return not_after - at < AHEAD
