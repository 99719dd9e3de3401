"""Queries about accounts at remote servers; every function runs inside ``database.run``."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from appliance.core.clock import now
from appliance.core.upstreams import Mode
from appliance.infra.database import proxy
from appliance.upstreams.model import (
    Connection,
    ConnectionState,
    UpstreamServer,
)
from appliance.upstreams.tables import (
    ConnectionRow,
    SignInRow,
    UpstreamClientRow,
    UpstreamServerRow,
)

#: Whoever renews a connection has it for themselves so long; longer than the other side is waited for.
CLAIM = timedelta(seconds=30)
_COLUMNS = (
    "c.id, c.server_id, s.name AS server_name, c.user_id, c.connected_by, c.state, c.reason, c.issuer, c.scopes,"
    " c.wanted_scopes, c.terms, c.serial, c.attempts, c.connected_at, c.renewed_at, c.expires_at"
)
_SELECT = f"SELECT {_COLUMNS} FROM upstream_connections c JOIN servers s ON s.id = c.server_id"  # noqa: S608 - of constants

# -- servers


def server(server_id: int) -> UpstreamServer | None:
    """Return a server that wants to know who calls; ``None``: it asks nobody."""
    row = UpstreamServerRow.get_or_none(UpstreamServerRow.server_id == server_id)
    return None if row is None else _server(row)


def found(server_id: int, *, issuer: str, challenge: str) -> bool:
    """Write down that a server wants to know who calls; return whether that is news."""
    row = UpstreamServerRow.get_or_none(UpstreamServerRow.server_id == server_id)
    if row is not None:
        if challenge:
            UpstreamServerRow.update(issuer=issuer, challenge=challenge).where(
                UpstreamServerRow.server_id == server_id
            ).execute()
        return False
    return bool(
        UpstreamServerRow.insert(
            server_id=server_id,
            mode=Mode.EACH.value,
            issuer=issuer,
            challenge=challenge,
            client_id="",
            has_secret=False,
            found_at=now(),
        )
        .on_conflict_ignore()
        .execute()
        is not None
    )


def forget_server(server_id: int) -> None:
    """Forget that a server wanted to know who calls, and everything that came of it."""
    for row in (ConnectionRow, UpstreamClientRow, SignInRow, UpstreamServerRow):
        row.delete().where(row.server_id == server_id).execute()


def set_mode(server_id: int, mode: Mode) -> None:
    """Say whose account calls use."""
    UpstreamServerRow.update(mode=mode.value).where(
        UpstreamServerRow.server_id == server_id
    ).execute()


def set_client(server_id: int, client_id: str, *, has_secret: bool) -> None:
    """Say with which client to sign in; empty: with none that somebody gave."""
    UpstreamServerRow.update(client_id=client_id, has_secret=has_secret).where(
        UpstreamServerRow.server_id == server_id
    ).execute()


def _server(row: UpstreamServerRow) -> UpstreamServer:
    return UpstreamServer(
        server_id=row.server_id,
        mode=Mode(row.mode),
        issuer=row.issuer,
        challenge=row.challenge,
        client_id=row.client_id,
        has_secret=row.has_secret,
    )


# -- clients


def client(
    server_id: int, issuer: str, redirect_uri: str
) -> tuple[int, str, str, bool] | None:
    """Return number, client id, method and whether there is a secret, of a registration that was made."""
    row = UpstreamClientRow.get_or_none(
        UpstreamClientRow.server_id == server_id,
        UpstreamClientRow.issuer == issuer,
        UpstreamClientRow.redirect_uri == redirect_uri,
    )
    if row is None:
        return None
    return row.id, row.client_id, row.auth_method, row.has_secret


def client_called(server_id: int, issuer: str, client_id: str) -> int | None:
    """Return the number of the registration under which this box is called so there."""
    row = UpstreamClientRow.get_or_none(
        UpstreamClientRow.server_id == server_id,
        UpstreamClientRow.issuer == issuer,
        UpstreamClientRow.client_id == client_id,
    )
    return None if row is None else int(row.id)


def put_client(
    server_id: int,
    issuer: str,
    redirect_uri: str,
    *,
    client_id: str,
    auth_method: str,
    has_secret: bool,
) -> int:
    """Keep a registration in place of the one that was there; return its number."""
    forget_client(server_id, issuer, redirect_uri)
    row = UpstreamClientRow.create(
        server_id=server_id,
        issuer=issuer,
        redirect_uri=redirect_uri,
        client_id=client_id,
        auth_method=auth_method,
        has_secret=has_secret,
        registered_at=now(),
    )
    return int(row.id)


def forget_client(server_id: int, issuer: str, redirect_uri: str) -> None:
    """Forget a registration."""
    UpstreamClientRow.delete().where(
        UpstreamClientRow.server_id == server_id,
        UpstreamClientRow.issuer == issuer,
        UpstreamClientRow.redirect_uri == redirect_uri,
    ).execute()


# -- sign-ins


def begin_signin(  # noqa: PLR0913 - the columns of one row
    state_hash: bytes,
    *,
    server_id: int,
    user_id: int | None,
    began_by: int,
    session_id: int | None,
    plan: dict[str, Any],
    keep: timedelta,
) -> None:
    """Remember a sign-in; those that nobody came back from are forgotten."""
    SignInRow.delete().where(SignInRow.began_at < now() - keep).execute()
    SignInRow.create(
        state_hash=state_hash,
        server_id=server_id,
        user_id=user_id,
        began_by=began_by,
        session_id=session_id,
        plan=plan,
        began_at=now(),
    )


def take_signin(state_hash: bytes) -> SignInRow | None:
    """Return a sign-in and forget it: it ends once."""
    rows = list(
        SignInRow.delete()
        .where(SignInRow.state_hash == state_hash)
        .returning(SignInRow)
        .execute()
    )
    return rows[0] if rows else None


# -- connections


def connections(user_id: int) -> list[Connection]:
    """Return a person's own connections, by their servers' names."""
    return _read(f"{_SELECT} WHERE c.user_id = %s ORDER BY s.name", user_id)


def connection(connection_id: int) -> Connection | None:
    """Return a connection."""
    return _first(f"{_SELECT} WHERE c.id = %s", connection_id)


def connection_of(server_id: int, user_id: int | None) -> Connection | None:
    """Return the connection of a person, or everybody's, at a server."""
    return _first(
        f"{_SELECT} WHERE c.server_id = %s AND c.user_id IS NOT DISTINCT FROM %s",
        server_id,
        user_id,
    )


def all_good() -> list[Connection]:
    """Return every connection that can be used."""
    return _read(f"{_SELECT} WHERE c.state = 'good' ORDER BY c.id")


def at_server(server_id: int) -> list[Connection]:
    """Return every connection with a server."""
    return _read(f"{_SELECT} WHERE c.server_id = %s ORDER BY c.id", server_id)


def put_connection(  # noqa: PLR0913 - the columns of one row
    server_id: int,
    user_id: int | None,
    *,
    connected_by: str,
    issuer: str,
    scopes: str,
    terms: dict[str, Any],
    expires_at: datetime | None,
) -> Connection:
    """Keep a connection in place of the one that was there; its serial goes on counting."""
    proxy.execute_sql(
        "INSERT INTO upstream_connections (server_id, user_id, connected_by, state, issuer, scopes, terms, expires_at)"
        " VALUES (%s, %s, %s, 'good', %s, %s, %s::jsonb, %s)"
        " ON CONFLICT (server_id, user_id) DO UPDATE SET connected_by = excluded.connected_by, state = 'good',"
        " reason = '', issuer = excluded.issuer, scopes = excluded.scopes, wanted_scopes = '', terms = excluded.terms,"
        " expires_at = excluded.expires_at, serial = upstream_connections.serial + 1, attempts = 0,"
        " claimed_until = NULL, connected_at = now(), renewed_at = NULL",
        (
            server_id,
            user_id,
            connected_by,
            issuer,
            scopes,
            json.dumps(terms),
            expires_at,
        ),
    )
    made = connection_of(server_id, user_id)
    assert made is not None  # noqa: S101 - one line above
    return made


def claim(server_id: int, user_id: int | None, serial: int) -> Connection | None:
    """Return a connection whose token is this one, to be renewed by the caller alone; ``None``: somebody else does, or did."""
    claimed = (
        ConnectionRow.update(claimed_until=fn.now() + CLAIM)
        .where(
            ConnectionRow.server_id == server_id,
            ConnectionRow.user_id.is_null()
            if user_id is None
            else ConnectionRow.user_id == user_id,
            ConnectionRow.state == ConnectionState.GOOD.value,
            ConnectionRow.serial == serial,
            ConnectionRow.claimed_until.is_null()
            | (ConnectionRow.claimed_until < fn.now()),
        )
        .execute()
    )
    return connection_of(server_id, user_id) if claimed else None


def renewed(
    before: Connection, *, scopes: str | None, expires_at: datetime | None
) -> bool:
    """Write down that a connection has its next token; return whether it was still the one before."""
    values: dict[str, Any] = {
        "serial": before.serial + 1,
        "attempts": 0,
        "reason": "",
        "claimed_until": None,
        "renewed_at": now(),
        "expires_at": expires_at,
    }
    if scopes is not None:
        values["scopes"] = scopes
    return bool(_update(before, values))


def not_renewed(before: Connection, reason: str) -> Connection | None:
    """Write down that a connection has no next token just now."""
    values = {
        "attempts": before.attempts + 1,
        "reason": reason,
        "claimed_until": None,
    }
    return connection(before.id) if _update(before, values) else None


def ended(before: Connection, reason: str) -> bool:
    """Write down that a connection cannot be used any more; return whether it was still the same."""
    values = {
        "state": ConnectionState.ENDED.value,
        "reason": reason,
        "claimed_until": None,
    }
    return bool(_update(before, values))


def want_scopes(server_id: int, user_id: int | None, serial: int, scopes: str) -> None:
    """Write down what a server wanted that an account may not."""
    ConnectionRow.update(wanted_scopes=scopes).where(
        ConnectionRow.server_id == server_id,
        ConnectionRow.user_id.is_null()
        if user_id is None
        else ConnectionRow.user_id == user_id,
        ConnectionRow.serial == serial,
    ).execute()


def remove(connection_id: int) -> None:
    """Forget a connection."""
    ConnectionRow.delete().where(ConnectionRow.id == connection_id).execute()


def _update(before: Connection, values: dict[str, Any]) -> int:
    return int(
        ConnectionRow.update(values)
        .where(ConnectionRow.id == before.id, ConnectionRow.serial == before.serial)
        .execute()
    )


def _first(query: str, *arguments: object) -> Connection | None:
    return next(iter(_read(query, *arguments)), None)


def _read(query: str, *arguments: object) -> list[Connection]:
    rows: Any = ConnectionRow.raw(query, *arguments).dicts()
    return list(_connections(rows))


def _connections(rows: Any) -> Iterator[Connection]:
    for row in rows:
        yield Connection(
            id=row["id"],
            server_id=row["server_id"],
            server_name=row["server_name"],
            user_id=row["user_id"],
            connected_by=row["connected_by"],
            state=ConnectionState(row["state"]),
            reason=row["reason"],
            issuer=row["issuer"],
            scopes=tuple(row["scopes"].split()),
            wanted_scopes=tuple(row["wanted_scopes"].split()),
            serial=row["serial"],
            attempts=row["attempts"],
            connected_at=row["connected_at"],
            renewed_at=row["renewed_at"],
            expires_at=row["expires_at"],
            terms=row["terms"],
        )
