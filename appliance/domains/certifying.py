"""From domains to certificates and back: which names want one, and how far that is. Runs inside ``database.run``."""

from typing import NamedTuple

from appliance.domains import store
from appliance.domains.model import CertificateKind, Status


class Wanted(NamedTuple):
    """A name that is served, and so wants a certificate; also one that only sends its visitors on."""

    host: str
    kind: CertificateKind
    certificate_id: int | None


def wanted() -> list[Wanted]:
    """Return all names that are served, oldest first."""
    return [
        Wanted(item.host, item.certificate_kind, item.certificate_id)
        for item in store.all_verified()
    ]


def tell(
    host: str,
    status: Status,
    *,
    reason: str = "",
    certificate_id: int | None = None,
) -> None:
    """Write how far a name's certificate is; a name that nobody is served under any more is left alone.

    Args:
        host: The name.
        status: ``ACTIVE`` once it has the certificate that it shall have, ``ISSUING`` on the way, ``ERROR`` when somebody has
            to do something.
        reason: For people.
        certificate_id: The one that it has, or waits for.
    """
    domain = store.verified(host)
    if domain is None:
        return
    # That DNS leads elsewhere is the likelier reason for whatever the certificate lacks.
    shown = domain.reason if domain.away_since else reason
    told = (status, shown, certificate_id)
    if told != (domain.status, domain.reason, domain.certificate_id):
        store.change(
            domain.id,
            status=status.value,
            reason=shown,
            certificate_id=certificate_id,
        )
