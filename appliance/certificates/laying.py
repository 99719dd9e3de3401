"""Lays what Nginx serves: for every name the best that there is, at once from the box's own authority."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from appliance.certificates import store
from appliance.certificates.errors import CertificateInvalidError
from appliance.certificates.first import CaFile, is_due, own_names
from appliance.certificates.keys import OWN_CA, key_purpose
from appliance.certificates.model import Certificate, Issued, Kind, Wish, covers
from appliance.certificates.own_ca import NAME, OwnCa
from appliance.certificates.pem import described
from appliance.certificates.plan import ENDED, Index
from appliance.certificates.shelf import OnShelf, Shelf, is_better
from appliance.core.clock import now
from appliance.core.front_door import BOX
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer, UnsealError
from appliance.settings import Settings

log = structlog.get_logger("certificates")

#: A name that nobody serves any more keeps its file so long: it may be about to be served again.
KEEP_UNWANTED_S = 600.0


class Layer:
    """Writes the files below PROXY_DIR/certificates.

    Args:
        shelf: Where they lie.
        told: Called when what Nginx has to be told of changed: a wildcard came or went.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        shelf: Shelf,
        sealer: Sealer,
        told: Callable[[], None],
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._shelf = shelf
        self._sealer = sealer
        self._told = told
        self._own_file = CaFile(settings.proxy_dir, sealer)
        self._own: OwnCa | None = None
        self._settings = settings
        self._own_names: tuple[str, ...] = ()
        self._unwanted: dict[str, float] = {}

    def begin(self) -> None:
        """Make sure that there is a directory and an authority of our own. Blocking; needs no Postgres."""
        self._shelf.prepare()
        self._own = self._own_file.ensure()
        self._own_names = own_names(self._settings)

    async def adopt(self) -> None:
        """Make the own authority of Postgres ours; a box that is new gives it its own."""
        kept = await self._database.run(self._kept)
        if kept is not None and kept.certificate != self._authority.certificate:
            await asyncio.to_thread(self._own_file.write, kept)
            self._own = kept
            log.info("certificates.own_ca_adopted", fingerprint=kept.fingerprint)

    def _kept(self) -> OwnCa | None:
        found = store.own_ca()
        ours = self._authority
        sealed = self._sealer.seal(ours.key_pem, OWN_CA)
        if found is None:
            store.keep_own_ca(ours.certificate, sealed)
            found = store.own_ca()
        if found is None or found[0] == ours.certificate:
            return None
        try:
            return OwnCa.read(found[0], self._sealer.unseal(found[1], OWN_CA))
        except (UnsealError, ValueError):
            # JWT_SECRET is another one than then: nobody can issue with that root any more.
            log.warning("certificates.own_ca_lost")
            store.replace_own_ca(ours.certificate, sealed)
            return None

    @property
    def _authority(self) -> OwnCa:
        if self._own is None:
            self._own = self._own_file.ensure()
        return self._own

    async def prepare(self, host: str) -> None:
        """Have something to serve for ``host`` at once; what is good there stays. Needs no Postgres."""
        self._unwanted.pop(host, None)
        await asyncio.to_thread(self._lay_own, host, frozenset(), now())

    async def lay(
        self,
        wishes: Sequence[Wish],
        index: Index,
        box: Certificate | None,
    ) -> None:
        """Lay what is best for every wish, and take away what nobody wishes for.

        Args:
            index: Every certificate that Postgres has. What lies there and is none of these was brought from elsewhere, and is
                only exchanged for something better.
            box: What is served for the box's own names; ``None``: our own authority's.
        """
        at = now()
        known = index.by_fingerprint
        best = {wish.host: index.served(wish, at) for wish in wishes}
        best[BOX] = box
        due = await asyncio.to_thread(self._due, best)
        for host, certificate in due:
            issued = await self._database.run(self._read, certificate)
            if issued is None:
                continue
            # What people bring is what they want to see.
            is_brought = certificate.kind is Kind.UPLOADED
            if is_brought or await asyncio.to_thread(
                self._may, host, issued, known, at
            ):
                await asyncio.to_thread(self._put, host, issued, at)
        without = [host for host, item in best.items() if item is None]
        worthless = frozenset(
            item.fingerprint
            for item in known.values()
            if item.status in ENDED or not item.is_issued
        )
        await asyncio.to_thread(self._lay_all_own, without, worthless, at)
        await asyncio.to_thread(self._clear, frozenset(best))

    def _due(
        self, best: Mapping[str, Certificate | None]
    ) -> list[tuple[str, Certificate]]:
        found = []
        for host, certificate in best.items():
            if certificate is None:
                continue
            lying = self._shelf.look(host)
            if lying is None or lying.fingerprint != certificate.fingerprint:
                found.append((host, certificate))
        return found

    def _read(self, certificate: Certificate) -> Issued | None:
        chain, sealed = store.chain_of(certificate.id), store.key_of(certificate.id)
        if chain is None or sealed is None:
            return None
        try:
            key = self._sealer.unseal(sealed, key_purpose(certificate.id))
            return described(chain, key)
        except (UnsealError, CertificateInvalidError) as error:
            log.warning("certificates.unreadable", certificate_id=certificate.id, error=str(error))  # fmt: skip
            return None

    def _may(
        self, host: str, issued: Issued, known: Mapping[str, Certificate], at: datetime
    ) -> bool:
        lying = self._shelf.look(host)
        if lying is not None and lying.fingerprint in known:
            return True
        is_own = self._is_own(lying)
        return is_better(
            lying, issued, host=host, now=at, fresh_is_own=False, lying_is_own=is_own
        )

    def _put(self, host: str, issued: Issued, at: datetime) -> None:
        try:
            # A clock that was set back makes what was issued a moment ago begin later than now.
            moment = max(at, issued.not_before + timedelta(seconds=1))
            is_new = self._shelf.put(host, issued, moment)
        except (CertificateInvalidError, OSError) as error:
            log.warning("certificates.not_laid", host=host, error=str(error))
            return
        if is_new and host.startswith("*."):
            self._told()

    def _lay_all_own(
        self, hosts: Sequence[str], worthless: frozenset[str], at: datetime
    ) -> None:
        for host in hosts:
            self._lay_own(host, worthless, at)

    def _lay_own(self, host: str, worthless: frozenset[str], at: datetime) -> None:
        """Serve our own authority's for ``host`` unless something good lies there."""
        names = self._own_names if host == BOX else (host,)
        lying = self._shelf.look(host)
        if lying is not None and lying.fingerprint not in worthless:
            is_alive = lying.not_after > at and covers(lying.names, names[0])
            if is_alive and not self._is_own(lying):
                return
            is_whole = set(names) <= set(lying.names)
            if is_alive and is_whole and not is_due(lying.not_after, at) and self._is_ours(lying):  # fmt: skip
                return
        self._put(host, self._authority.issue(names, at), at)

    def _is_own(self, lying: OnShelf | None) -> bool:
        return lying is not None and lying.issuer.startswith(NAME)

    def _is_ours(self, lying: OnShelf) -> bool:
        return lying.issuer == self._authority.common_name

    def _clear(self, wanted: frozenset[str]) -> None:
        at = time.monotonic()
        there = self._shelf.hosts()
        for host in there & wanted:
            self._unwanted.pop(host, None)
        for host in there - wanted:
            if at - self._unwanted.setdefault(host, at) > KEEP_UNWANTED_S:
                del self._unwanted[host]
                if self._shelf.remove(host) and host.startswith("*."):
                    self._told()
