"""Signs in to Postgres and asks for its version."""

import asyncio

import psycopg2

from appliance.integrations.errors import ProbeFailedError
from appliance.integrations.probes import Asked

CONNECT_S = 5
#: The hub's own passwords and certificates are not shown to whoever listens there.
_NOTHING = "/nonexistent"


async def probe(asked: Asked) -> str:
    """Return which Postgres answered.

    Raises:
        ProbeFailedError: It does not let us in, or is none.
    """
    try:
        version = await asyncio.to_thread(_version, asked)
    except psycopg2.Error as error:
        raise _failed(asked, error) from error
    return f"PostgreSQL {version} answered a query."


def _version(asked: Asked) -> str:
    """Ask for the version. Blocking."""
    settings = asked.settings
    connection = psycopg2.connect(
        host=asked.destination.host,
        hostaddr=asked.address.partition("%")[0],
        port=asked.destination.port,
        user=settings["username"],
        password=asked.secrets.get("password", ""),
        dbname=settings["database"],
        sslmode=settings["ssl_mode"],
        sslrootcert="system" if settings["ssl_mode"] == "verify-full" else _NOTHING,
        sslcert=_NOTHING,
        sslkey=_NOTHING,
        passfile=_NOTHING,
        gssencmode="disable",
        connect_timeout=CONNECT_S,
        application_name="mcp-host service test",
        options="-c statement_timeout=3000",
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            row = cursor.fetchone()
    finally:
        connection.close()
    return str(row[0]).partition(" ")[0] if row else ""


def _failed(asked: Asked, error: psycopg2.Error) -> ProbeFailedError:
    words = " ".join(str(error).split())
    password = asked.secrets.get("password")
    if password:
        words = words.replace(password, "***")
    hints = {
        "password authentication failed": "User or password is wrong.",
        "does not exist": "Is the name right?",
        "no pg_hba.conf entry": "The database does not let this box in; pg_hba.conf there says whom.",
        "SSL": "Choose another ssl_mode.",
        "Connection refused": "Does it run, and listen on this address?",
        "timeout expired": "Does a firewall stand between?",
    }
    hint = next((text for mark, text in hints.items() if mark in words), None)
    return ProbeFailedError(
        f"PostgreSQL at {asked.destination} refused: {words[:300].rstrip('.')}.",
        hint=hint,
    )
