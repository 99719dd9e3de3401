"""Queries about another issuer; every function runs inside ``database.run``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.core.oauth import OWN_ISSUER
from appliance.oauth.tables import IssuerRow, SigningKeyRow


@dataclass(frozen=True)
class IssuerState:
    """What is known of another issuer."""

    issuer: str
    #: ``None``: its metadata was never fetched.
    fetched_at: datetime | None
    #: Why the last attempt brought nothing; empty: it did.
    error: str
    #: Ids of its keys.
    keys: tuple[str, ...]


def keep(
    issuer: str,
    metadata: dict[str, Any],
    keys: dict[str, tuple[str, dict[str, Any]]],
) -> None:
    """Keep what an issuer says now, and nothing of any other.

    What has not changed is not written, because gateways would read all of it again.
    """
    IssuerRow.delete().where(IssuerRow.issuer != issuer).execute()
    SigningKeyRow.delete().where(
        SigningKeyRow.issuer.not_in([OWN_ISSUER, issuer])
    ).execute()
    known = {
        row.kid: (row.alg, row.jwk)
        for row in SigningKeyRow.select().where(SigningKeyRow.issuer == issuer)
    }
    changed = [kid for kid, item in known.items() if keys.get(kid) != item]
    if changed:
        SigningKeyRow.delete().where(
            SigningKeyRow.issuer == issuer, SigningKeyRow.kid.in_(changed)
        ).execute()
    for kid in keys.keys() - (known.keys() - set(changed)):
        algorithm, jwk = keys[kid]
        # A key of ours keeps its id, whatever others call theirs.
        SigningKeyRow.insert(
            kid=kid, issuer=issuer, alg=algorithm, jwk=jwk, created_at=now()
        ).on_conflict_ignore().execute()
    row = IssuerRow.get_or_none(IssuerRow.issuer == issuer)
    noted = {"fetched_at": now(), "tried_at": now(), "error": ""}
    if row is None:
        IssuerRow.insert(issuer=issuer, metadata=metadata, **noted).execute()
        return
    if row.metadata != metadata:
        noted["metadata"] = metadata
    IssuerRow.update(**noted).where(IssuerRow.issuer == issuer).execute()


def note_failure(issuer: str, error: str) -> None:
    """Write down that an attempt brought nothing. What is known stays: tokens that are about are good."""
    IssuerRow.insert(issuer=issuer, tried_at=now(), error=error).on_conflict(
        conflict_target=[IssuerRow.issuer],
        update={IssuerRow.tried_at: now(), IssuerRow.error: error},
    ).execute()


def state(issuer: str) -> IssuerState:
    """Return what is known of an issuer."""
    row = IssuerRow.get_or_none(IssuerRow.issuer == issuer)
    keys = SigningKeyRow.select(SigningKeyRow.kid).where(SigningKeyRow.issuer == issuer)
    return IssuerState(
        issuer,
        row.fetched_at if row else None,
        row.error if row else "",
        tuple(sorted(item.kid for item in keys)),
    )
