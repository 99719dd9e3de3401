"""How the registry's credentials are: fresh, near their end, past it, or not there. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class CredentialStatus(StrEnum):
    """One word on the credentials."""

    HEALTHY = "healthy"
    #: Within the lead time before their end.
    EXPIRING = "expiring"
    EXPIRED = "expired"
    #: There should be some, and there are none that can be used.
    MISSING = "missing"
    #: None are configured; the registry is asked without.
    ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Limits:
    """When credentials count as old."""

    max_age: timedelta
    #: So long before their end they are replaced, if something can.
    lead: timedelta


@dataclass(frozen=True)
class CredentialHealth:
    """How the credentials of one registry are."""

    host: str
    status: CredentialStatus
    #: Whether they should be replaced now.
    rotation_recommended: bool = False
    #: Whether there is something that replaces them: REGISTRY_AUTH_REFRESH_COMMAND.
    rotation_configured: bool = False
    #: When their file was written.
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    #: Whole seconds, negative after the end; ``None``: no end is known.
    seconds_until_expiry: int | None = None
    #: What is wrong with them, for a person; empty when nothing is.
    problem: str = ""

    @property
    def is_auth_expired(self) -> bool:
        """Whether they are past their end."""
        return self.status is CredentialStatus.EXPIRED

    def fields(self) -> dict[str, Any]:
        """Return what every event on credentials carries."""
        return {
            "status": self.status.value,
            "auth_expired": self.is_auth_expired,
            "rotation_recommended": self.rotation_recommended,
            "rotation_configured": self.rotation_configured,
            "seconds_until_expiry": self.seconds_until_expiry,
            "issued_at": self.issued_at.isoformat() if self.issued_at else None,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


def anonymous(host: str) -> CredentialHealth:
    """Return the health of no credentials where none are configured."""
    return CredentialHealth(host, CredentialStatus.ANONYMOUS)


def missing(
    host: str, problem: str, *, rotation_configured: bool, refused: bool = False
) -> CredentialHealth:
    """Return the health of credentials that should be there and are not, or cannot be used.

    Args:
        problem: Why, and what to do.
        rotation_configured: Whether a command can bring some.
        refused: The registry itself does not take them.
    """
    return CredentialHealth(
        host,
        CredentialStatus.EXPIRED if refused else CredentialStatus.MISSING,
        rotation_recommended=True,
        rotation_configured=rotation_configured,
        problem=problem,
    )


def judge(
    host: str,
    *,
    issued_at: datetime,
    ends_at: datetime | None,
    now: datetime,
    limits: Limits,
    rotation_configured: bool,
) -> CredentialHealth:
    """Return how credentials are that can be read.

    Args:
        issued_at: When their file was written.
        ends_at: Their own end, where they tell it; the earlier of it and the greatest age counts.
    """
    by_age = issued_at + limits.max_age
    expires_at = min(by_age, ends_at) if ends_at is not None else by_age
    left = expires_at - now
    # Credentials that live for less than the lead would be old on arrival, and replaced at every look.
    lead = min(limits.lead, (expires_at - issued_at) / 2)
    if left <= timedelta():
        status = CredentialStatus.EXPIRED
    elif left <= lead:
        status = CredentialStatus.EXPIRING
    else:
        status = CredentialStatus.HEALTHY
    return CredentialHealth(
        host,
        status,
        rotation_recommended=status is not CredentialStatus.HEALTHY,
        rotation_configured=rotation_configured,
        issued_at=issued_at,
        expires_at=expires_at,
        seconds_until_expiry=int(left.total_seconds()),
    )


def sentence(health: CredentialHealth) -> str:
    """Return the health in words, with what to do."""
    host = health.host
    if health.problem:
        return f"The credentials of {host} cannot be used. {health.problem}"
    match health.status:
        case CredentialStatus.ANONYMOUS:
            return f"{host} is asked without credentials."
        case CredentialStatus.HEALTHY:
            return f"The credentials of {host} are good until {_moment(health)}."
        case CredentialStatus.EXPIRING if health.rotation_configured:
            return f"The credentials of {host} end at {_moment(health)} and are replaced before that."
        case CredentialStatus.EXPIRING:
            return f"The credentials of {host} end at {_moment(health)}. {_RENEW}"
        case _:
            return f"The credentials of {host} ended at {_moment(health)}. {_RENEW}"


_RENEW = "Put fresh ones into REGISTRY_AUTH_DOCKERCONFIG, or have REGISTRY_AUTH_REFRESH_COMMAND do it."


def _moment(health: CredentialHealth) -> str:
    return (
        f"{health.expires_at:%Y-%m-%d %H:%M UTC}"
        if health.expires_at
        else "a time that is not known"
    )
