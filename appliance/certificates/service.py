"""What people see and do of certificates: look, upload, order, revoke. Private keys go in and never come out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal
from appliance.certificates import account_store, store
from appliance.certificates.box import box_of
from appliance.certificates.errors import (
    CertificateInUseError,
    CertificateNotFoundError,
    CertificatesNearEndError,
    NothingOrderedError,
    OrderInvalidError,
)
from appliance.certificates.keys import key_purpose
from appliance.certificates.model import (
    Account,
    Certificate,
    Event,
    Kind,
    Status,
)
from appliance.certificates.plan import obstacle
from appliance.certificates.telling import happened
from appliance.certificates.troubles import Trouble, troubles_of
from appliance.core.clock import now
from appliance.core.front_door import is_host_name, is_wildcard
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.observability import audit
from appliance.observability.metrics import Metrics
from appliance.settings import Settings

#: Names on one certificate; Let's Encrypt takes a hundred.
MAX_NAMES = 100
#: Whoever asks again and again gets no certificate sooner.
AGAIN_AFTER = timedelta(seconds=5)


@dataclass(frozen=True)
class OwnRoot:
    """The root of the box's own authority."""

    #: PEM.
    certificate: str
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True)
class Overview:
    """What all certificates have in common."""

    #: Whether the front door serves here at all.
    is_on: bool
    #: Whether anything is ordered.
    can_order: bool
    directory_url: str
    is_staging: bool
    email: str
    #: ``None``: nothing was ordered there yet.
    account: Account | None
    #: ``None``: the front door has not run yet.
    own_root: OwnRoot | None


class CertificateService:
    """Certificates, as administrators know them.

    Args:
        sealer: For the keys that are brought.
    """

    def __init__(self, database: Database, settings: Settings, sealer: Sealer) -> None:
        """Keep the parts."""
        self._database = database
        self._sealer = sealer
        self._settings = settings
        self._box = box_of(settings)

    async def overview(self) -> Overview:
        """Return what all have in common."""
        return await self._database.run(self._overview)

    def _overview(self) -> Overview:
        found = account_store.get(self._box.directory_url)
        root = store.own_ca()
        return Overview(
            is_on=self._settings.proxy_enabled,
            can_order=self._box.can_order,
            directory_url=self._box.directory_url,
            is_staging=self._box.is_staging,
            email=self._settings.acme_email or "",
            account=found[0] if found else None,
            own_root=_root(root[0]) if root else None,
        )

    async def own_root(self) -> OwnRoot:
        """Return the root that people may trust.

        Raises:
            CertificateNotFoundError: The front door has not made it yet.
        """
        found = await self._database.run(store.own_ca)
        if found is None:
            raise CertificateNotFoundError(
                "This box has no certificate authority of its own yet.",
                hint="It is made when the front door starts first: set PROXY_ENABLED=true.",
            )
        return _root(found[0])

    async def list(self, *, after_id: int | None, limit: int) -> list[Certificate]:
        """Return a page of certificates, the newest first."""
        return await self._database.run(store.page, after_id, limit)

    async def get(self, certificate_id: int) -> tuple[Certificate, Sequence[Event]]:
        """Return one, with what happened to it, the newest first.

        Raises:
            CertificateNotFoundError: There is none of that number.
        """

        def read() -> tuple[Certificate, Sequence[Event]]:
            return store.get(certificate_id), store.events_of(certificate_id)

        return await self._database.run(read)

    async def troubles(self) -> Sequence[Trouble]:
        """Return what somebody should look at."""
        found = await self._database.run(store.all_certificates)
        return troubles_of(found, now())

    async def measure(self, metrics: Metrics) -> None:
        """Tell ``metrics`` how far all are, and how many days they have left."""
        found = await self._database.run(store.all_certificates)
        at = now()
        metrics.certificates_now(
            Counter(item.status.value for item in found),
            {
                (item.id, item.names[0]): (item.not_after - at) / timedelta(days=1)
                for item in found
                if item.not_after is not None
            },
        )

    async def told(self) -> str:
        """Return how all are, in a sentence.

        Raises:
            CertificatesNearEndError: Somebody should look at one.
        """
        found = await self._database.run(store.all_certificates)
        troubles = troubles_of(found, now())
        if troubles:
            more = (
                f" {len(troubles) - 1} more need somebody, too." if troubles[1:] else ""
            )
            raise CertificatesNearEndError(troubles[0].text + more)
        ends = [item.not_after for item in found if item.not_after is not None]
        if not ends:
            return "The box's own CA serves; nothing was issued by others."
        return f"{len(ends)} certificates; the next ends in {(min(ends) - now()).days} days."

    async def upload(self, principal: Principal, chain: str, key: str) -> Certificate:
        """Take in a chain and its key; it is served for the names that it covers. Of the same names, the newest counts.

        Raises:
            NotAllowedError: The principal is no administrator.
            CertificateInvalidError: It cannot be served; names the field.
        """
        require_administer(principal)
        # Not before somebody brings one: reading certificates takes megabytes, which the hub at rest does not need.
        from appliance.certificates import pem  # noqa: PLC0415

        issued = pem.read(chain, key, now=now())

        def write() -> Certificate:
            there = store.uploaded_for(issued.names)
            number = there or store.add(
                issued.names, Kind.UPLOADED, is_asked=True, by=principal.name
            )
            sealed = self._sealer.seal(issued.key, key_purpose(number))
            store.keep_issued(number, issued, sealed, renew_at=None)
            until = f"{issued.not_after:%Y-%m-%d %H:%M} UTC"
            happened(number, "uploaded", f"{principal.name} brought it; it is good until {until}.")  # fmt: skip
            self._audit(principal, "upload", number, issued.names)
            return store.get(number)

        return await self._database.run(write)

    async def order(self, principal: Principal, names: Sequence[str]) -> Certificate:
        """Have one certificate ordered for ``names``, or for those that have none beside others.

        Raises:
            NotAllowedError: The principal is no administrator.
            OrderInvalidError: A name cannot be on it.
            NothingOrderedError: The settings name no authority's account.
        """
        require_administer(principal)
        wanted = tuple(dict.fromkeys(name.strip().lower().rstrip(".") for name in names))  # fmt: skip
        self._demand_names(wanted)

        def write() -> Certificate:
            number = store.ordered_for(wanted)
            if number is None:
                number = store.add(wanted, Kind.ACME, is_asked=True, by=principal.name)
                happened(number, "asked", f"{principal.name} asked for it.")
            else:
                self._again(principal, store.get(number))
            self._audit(principal, "order", number, wanted)
            return store.get(number)

        return await self._database.run(write)

    def _demand_names(self, names: tuple[str, ...]) -> None:
        if not names or len(names) > MAX_NAMES:
            problem = f"give 1 to {MAX_NAMES} names, such as mcp.example.org"
            raise OrderInvalidError.field("names", problem)
        for name in names:
            if not (is_host_name(name) or is_wildcard(name)) or "." not in name:
                problem = f"{name[:80]!r} is no name that an authority knows; give such as mcp.example.org or *.example.org"
                raise OrderInvalidError.field("names", problem)
        if not self._box.can_order:
            raise NothingOrderedError(
                "Nothing is ordered on this box.",
                hint="Set ACME_EMAIL, and restart.",
            )
        if problem := self._box.ways.obstacle(names):
            raise OrderInvalidError.field("names", problem)

    async def renew(self, principal: Principal, certificate_id: int) -> Certificate:
        """Have a certificate ordered now, whatever it waits for; what authorities allow in a week is kept to.

        Raises:
            NotAllowedError: The principal is no administrator.
            CertificateNotFoundError: There is none of that number.
            NothingOrderedError: It is not ordered here, or was tried a moment ago.
        """
        require_administer(principal)

        def write() -> Certificate:
            certificate = store.get(certificate_id)
            self._again(principal, certificate)
            self._audit(principal, "renew", certificate_id, certificate.names)
            return store.get(certificate_id)

        return await self._database.run(write)

    def _again(self, principal: Principal, certificate: Certificate) -> None:
        if certificate.kind is not Kind.ACME:
            raise NothingOrderedError(
                "It was brought, and is not ordered here.",
                hint="Upload the new one; it takes this one's place.",
            )
        if problem := obstacle(certificate, self._box, now()):
            raise NothingOrderedError(problem)
        if certificate.status in {Status.ORDERING, Status.REVOKING}:
            raise NothingOrderedError("It is at the authority just now.")
        attempted = certificate.attempted_at
        if attempted is not None and timedelta(0) <= now() - attempted < AGAIN_AFTER:
            raise NothingOrderedError("It was tried a moment ago.")
        store.change(
            certificate.id,
            status=Status.WANTED.value,
            renew_at=now(),
            next_attempt_at=None,
        )
        account_store.change(self._box.directory_url, next_attempt_at=None)
        happened(certificate.id, "asked", f"{principal.name} asked for it to be ordered now.")  # fmt: skip

    async def revoke(self, principal: Principal, certificate_id: int) -> Certificate:
        """Have the authority told that a certificate counts no more; the box's own CA serves its names from now on.

        Raises:
            NotAllowedError: The principal is no administrator.
            CertificateNotFoundError: There is none of that number.
            CertificateInUseError: There is nothing that an authority could revoke.
        """
        require_administer(principal)

        def write() -> Certificate:
            certificate = store.get(certificate_id)
            if certificate.kind is not Kind.ACME or not certificate.is_issued:
                raise CertificateInUseError(
                    "Only what was issued to this box can be revoked here.",
                    hint="One that was brought is removed here, and revoked by whoever issued it.",
                )
            store.change(
                certificate_id,
                status=Status.REVOKING.value,
                renew_at=None,
                next_attempt_at=None,
            )
            happened(certificate_id, "asked", f"{principal.name} asked for it to be revoked.")  # fmt: skip
            self._audit(principal, "revoke", certificate_id, certificate.names)
            return store.get(certificate_id)

        return await self._database.run(write)

    async def remove(self, principal: Principal, certificate_id: int) -> None:
        """Want a certificate no longer that somebody brought or ordered; what was ordered is revoked.

        Raises:
            NotAllowedError: The principal is no administrator.
            CertificateNotFoundError: There is none of that number.
            CertificateInUseError: The box or a domain wants it; it goes with that.
        """
        require_administer(principal)

        def write() -> None:
            certificate = store.get(certificate_id)
            if not certificate.is_asked:
                raise CertificateInUseError(
                    "The box or a domain wants this certificate.",
                    hint="It is revoked and removed with its last domain.",
                )
            if certificate.kind is Kind.UPLOADED:
                store.forget(certificate_id)
            else:
                store.change(certificate_id, is_asked=False)
                store.notify()
            self._audit(principal, "remove", certificate_id, certificate.names)

        await self._database.run(write)

    def _audit(
        self, principal: Principal, what: str, number: int, names: Sequence[str]
    ) -> None:
        audit.record(
            principal,
            f"certificate.{what}",
            object_type="certificate",
            object_id=number,
            object_name=", ".join(names)[:200],
        )


def _root(certificate: str) -> OwnRoot:
    from appliance.certificates import pem  # noqa: PLC0415 - as above

    issued = pem.root_of(certificate)
    return OwnRoot(certificate, issued.fingerprint, issued.not_after)
