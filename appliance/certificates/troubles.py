"""What of certificates somebody should look at. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.certificates.lifecycle import is_near_end
from appliance.certificates.model import Certificate, Kind, Status

#: Whoever brings certificates needs time to get another.
BROUGHT_AHEAD = timedelta(days=14)
#: As often as one has failed in a row that has failed for long: most of an hour, at least.
MANY_ATTEMPTS = 5


@dataclass(frozen=True)
class Trouble:
    """One certificate that needs somebody."""

    certificate_id: int
    names: tuple[str, ...]
    #: A sentence.
    text: str
    #: Whether its names are about to be served with a warning, or are already.
    is_urgent: bool


def troubles_of(
    certificates: Sequence[Certificate], now: datetime
) -> Sequence[Trouble]:
    """Return what somebody should look at, the most urgent first."""
    found = [trouble for item in certificates if (trouble := _trouble(item, now))]
    return sorted(found, key=lambda item: not item.is_urgent)


def _trouble(item: Certificate, now: datetime) -> Trouble | None:
    if item.status in {Status.REVOKING, Status.REVOKED}:
        return None
    what = f"The certificate for {item.names[0]}"
    end = _end(item, now)
    if end:
        text = f"{what} {end}"
    elif item.status is Status.FAILED and item.attempts >= MANY_ATTEMPTS:
        text = f"{what} could not be ordered {item.attempts} times in a row."
    else:
        return None
    return Trouble(
        item.id, item.names, f"{text} {item.error}".rstrip(), is_urgent=bool(end)
    )


def _end(item: Certificate, now: datetime) -> str:
    if item.not_after is None or item.not_before is None:
        return ""
    when = f"{item.not_after:%Y-%m-%d %H:%M} UTC."
    if item.not_after <= now:
        return f"expired on {when}"
    is_brought = item.kind is Kind.UPLOADED
    is_late = is_brought and item.not_after - now < BROUGHT_AHEAD
    if is_late or is_near_end(item.not_before, item.not_after, now):
        return f"ends on {when}"
    return ""
