"""Queries about grants, codes and refresh tokens; every function runs inside ``database.run``."""

from datetime import datetime
from typing import Any

from peewee import fn

from appliance.accounts.access import Kind, Thing
from appliance.accounts.model import Principal
from appliance.accounts.orgs.store import memberships
from appliance.accounts.store import get_user
from appliance.accounts.tables import UserRow
from appliance.core.clock import now
from appliance.core.oauth import Endpoint
from appliance.infra.database import proxy
from appliance.oauth import client_store
from appliance.oauth.model import Code, Connection, Grant, RefreshToken
from appliance.oauth.tables import ClientRow, CodeRow, GrantRow, RefreshTokenRow

#: What the gateway opens, as the gateway sees it.
_SERVER = "SELECT server_id, owner_id, org_id FROM gateway_routes WHERE name = %s"
_BUNDLE = "SELECT bundle_id, owner_id, org_id FROM gateway_bundles WHERE name = %s"
#: What stands under the very name comes before what a wildcard takes in.
_DOMAIN = """
SELECT r.server_id, r.owner_id, r.org_id FROM gateway_domains d JOIN gateway_routes r ON r.name = d.server_name
WHERE d.host IN (%s, %s) ORDER BY d.host = %s DESC LIMIT 1
"""


# -- who and what


def thing_at(endpoint: Endpoint, base: str = "") -> Thing | None:
    """Return what is behind an endpoint.

    Args:
        endpoint: A server, a bundle or a domain.
        base: BASE_DOMAIN; each label right below it is a server's name.
    """
    is_bundle = endpoint.kind == "bundles"
    query, values = _BUNDLE if is_bundle else _SERVER, [endpoint.name]
    if endpoint.kind == "domains":
        label, _, parent = endpoint.name.partition(".")
        query, values = _DOMAIN, [endpoint.name, f"*.{parent}", endpoint.name]
        if base and parent == base:
            query, values = _SERVER, [label]
    row = proxy.execute_sql(query, values).fetchone()
    if row is None:
        return None
    number, owner_id, org_id = row
    if is_bundle:
        return Thing(Kind.BUNDLE, number, owner_id, org_id)
    return Thing(Kind.SERVER, number, owner_id, org_id, server_id=number)


def person(user_id: int) -> Principal | None:
    """Return somebody as whom a token acts; ``None``: they are gone, or disabled."""
    found = get_user(user_id)
    if found is None or found[0].disabled_at:
        return None
    user = found[0]
    return Principal(
        user.id, user.email, user.role, "token", memberships=memberships(user_id)
    )


# -- grants


def _grant(row: GrantRow) -> Grant:
    return Grant(
        id=row.id,
        user_id=row.user_id,
        client_id=row.client_id,
        issuer=row.issuer,
        resource=row.resource,
        scope=tuple(row.scope.split()),
        is_machine=row.is_machine,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def add_grant(
    user_id: int,
    client_id: str,
    *,
    issuer: str,
    resource: str,
    scope: tuple[str, ...],
    is_machine: bool = False,
) -> Grant:
    """Insert what somebody allows a client."""
    row = GrantRow.create(
        user_id=user_id,
        client_id=client_id,
        issuer=issuer,
        resource=resource,
        scope=" ".join(scope),
        is_machine=is_machine,
        created_at=now(),
        revoked_why="",
    )
    return _grant(row)


def grant(grant_id: int) -> Grant | None:
    """Return a grant, and let nobody else change it until this transaction ends."""
    row = GrantRow.select().where(GrantRow.id == grant_id).for_update().first()
    return _grant(row) if row else None


def machine_grant(
    client_id: str, *, issuer: str, resource: str, scope: tuple[str, ...]
) -> Grant | None:
    """Return the grant under which a machine client asks for this time and again."""
    row = (
        GrantRow.select()
        .where(
            GrantRow.client_id == client_id,
            GrantRow.is_machine,
            GrantRow.issuer == issuer,
            GrantRow.resource == resource,
            GrantRow.scope == " ".join(scope),
            GrantRow.revoked_at.is_null(),
        )
        .order_by(GrantRow.id)
        .first()
    )
    return _grant(row) if row else None


def is_remembered(
    user_id: int, client_id: str, resource: str, scope: tuple[str, ...]
) -> bool:
    """Return whether somebody has allowed a client this much before, and not taken it back."""
    rows = GrantRow.select(GrantRow.scope).where(
        GrantRow.user_id == user_id,
        GrantRow.client_id == client_id,
        GrantRow.resource == resource,
        ~GrantRow.is_machine,
        GrantRow.revoked_at.is_null(),
    )
    return any(set(scope) <= set(row.scope.split()) for row in rows)


def note_token(grant_id: int, until: datetime) -> None:
    """Note that an access token was issued that may be good until then."""
    latest = fn.GREATEST(fn.COALESCE(GrantRow.token_until, until), until)
    GrantRow.update(last_used_at=now(), token_until=latest).where(
        GrantRow.id == grant_id
    ).execute()


def revoke(grant_id: int, why: str) -> bool:
    """End a grant; return whether it was good until now. Gateways know within two seconds."""
    return bool(
        GrantRow.update(revoked_at=now(), revoked_why=why)
        .where(GrantRow.id == grant_id, GrantRow.revoked_at.is_null())
        .execute()
    )


def revoke_of_client(client_id: str, why: str) -> int:
    """End every grant of a client; return how many."""
    return int(
        GrantRow.update(revoked_at=now(), revoked_why=why)
        .where(GrantRow.client_id == client_id, GrantRow.revoked_at.is_null())
        .execute()
    )


def connections(user_id: int | None, *, client_id: str = "") -> list[Connection]:
    """Return grants that hold, used last first: a person's, or with ``None`` everybody's.

    Args:
        client_id: Only this client's; empty: any.
    """
    rows = (
        GrantRow.select(GrantRow, ClientRow, UserRow)
        .join(ClientRow, on=(ClientRow.client_id == GrantRow.client_id), attr="client")
        .switch(GrantRow)
        .join(UserRow, on=(UserRow.id == GrantRow.user_id), attr="user")
        .where(GrantRow.revoked_at.is_null())
        .order_by(fn.COALESCE(GrantRow.last_used_at, GrantRow.created_at).desc())
    )
    if user_id is not None:
        rows = rows.where(GrantRow.user_id == user_id)
    if client_id:
        rows = rows.where(GrantRow.client_id == client_id)
    return [_connection(row) for row in rows]


def _connection(row: Any) -> Connection:
    return Connection(
        _grant(row),
        client_store.client_of(row.client),
        row.user.email,
    )


# -- codes


def add_code(
    code_hash: bytes,
    grant_id: int,
    *,
    redirect_uri: str,
    challenge: str,
    expires_at: datetime,
) -> None:
    """Insert a code."""
    CodeRow.create(
        code_hash=code_hash,
        grant_id=grant_id,
        redirect_uri=redirect_uri,
        challenge=challenge,
        created_at=now(),
        expires_at=expires_at,
    )


def code(code_hash: bytes) -> Code | None:
    """Return a code, and let nobody else take it until this transaction ends."""
    row = CodeRow.select().where(CodeRow.code_hash == code_hash).for_update().first()
    if row is None:
        return None
    return Code(
        row.grant_id, row.redirect_uri, row.challenge, row.expires_at, row.used_at
    )


def use_code(code_hash: bytes) -> None:
    """Note that a code was shown by its client; whatever comes of it, it is good no more."""
    CodeRow.update(used_at=now()).where(CodeRow.code_hash == code_hash).execute()


# -- refresh tokens


def add_refresh_token(
    token_hash: bytes, grant_id: int, *, expires_at: datetime
) -> None:
    """Insert a refresh token."""
    RefreshTokenRow.create(
        token_hash=token_hash,
        grant_id=grant_id,
        created_at=now(),
        expires_at=expires_at,
    )


def refresh_token(token_hash: bytes) -> RefreshToken | None:
    """Return a refresh token, and let nobody else take it until this transaction ends."""
    row = (
        RefreshTokenRow.select()
        .where(RefreshTokenRow.token_hash == token_hash)
        .for_update()
        .first()
    )
    return RefreshToken(row.grant_id, row.expires_at, row.used_at) if row else None


def use_refresh_token(token_hash: bytes) -> None:
    """Note that a refresh token was replaced."""
    RefreshTokenRow.update(used_at=now()).where(
        RefreshTokenRow.token_hash == token_hash
    ).execute()


# -- upkeep


def prune(*, ended_before: datetime, unused_before: datetime) -> None:
    """Remove what can do nothing any more.

    Args:
        ended_before: Codes and refresh tokens that ended before then, and grants that were revoked before.
        unused_before: Grants that nobody used since then.
    """
    CodeRow.delete().where(CodeRow.expires_at < ended_before).execute()
    RefreshTokenRow.delete().where(RefreshTokenRow.expires_at < ended_before).execute()
    last_use = fn.COALESCE(GrantRow.last_used_at, GrantRow.created_at)
    GrantRow.delete().where(
        (GrantRow.revoked_at < ended_before)
        | ((last_use < unused_before) & GrantRow.revoked_at.is_null())
    ).execute()
