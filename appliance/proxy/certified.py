"""Joins domains and certificates, which know nothing of each other."""

from appliance.certificates.model import Kind, Standing, State, Wish
from appliance.domains import certifying
from appliance.domains.model import Status

_SHOWN = {
    State.VALID: Status.ACTIVE,
    # Nothing more comes by itself, and the box's own authority serves.
    State.WAITING: Status.ACTIVE,
    State.ISSUING: Status.ISSUING,
    State.FAILED: Status.ERROR,
}


def wishes() -> list[Wish]:
    """Return the names of servers that shall have certificates; runs inside ``database.run``."""
    return [
        Wish(item.host, Kind(item.kind.value), item.certificate_id)
        for item in certifying.wanted()
    ]


def tell(host: str, standing: Standing) -> None:
    """Write how a name's certificate stands where its people look; runs inside ``database.run``."""
    reason = standing.reason
    if reason and standing.next_attempt_at is not None:
        reason += f" Tried again after {standing.next_attempt_at:%Y-%m-%d %H:%M} UTC."
    certifying.tell(
        host,
        _SHOWN[standing.state],
        reason=reason,
        certificate_id=standing.certificate_id,
    )
