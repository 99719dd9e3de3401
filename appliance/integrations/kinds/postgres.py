"""Postgres. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from appliance.integrations.kinds.addresses import (
    credentials,
    netloc,
    split,
    where_problems,
)
from appliance.integrations.kinds.ports import Destination, Kind, Secrets, Settings
from appliance.integrations.model import Variables

#: Those that need no file of certificates beside what the system trusts.
SSL_MODES = ("disable", "prefer", "require", "verify-full")
DEFAULTS: dict[str, Any] = {
    "host": "",
    "port": 5432,
    "username": "",
    "database": "",
    "ssl_mode": "prefer",
}


class Postgres:
    """``DATABASE_URL``, ``POSTGRES_URL`` and the variables that ``libpq`` reads."""

    def settings(self, given: Settings) -> dict[str, Any]:
        """Return the settings with their defaults."""
        return {**DEFAULTS, **{name: given[name] for name in DEFAULTS if name in given}}

    def problems(self, settings: Settings, secrets: Secrets) -> dict[str, str]:  # noqa: ARG002 - the port
        """Return what is wrong, by field."""
        found = where_problems(settings)
        for name in ("username", "database"):
            if not settings[name] or not isinstance(settings[name], str):
                found[name] = "is required"
        if settings["ssl_mode"] not in SSL_MODES:
            found["ssl_mode"] = f"give one of {', '.join(SSL_MODES)}"
        return found

    def variables(self, settings: Settings, secrets: Secrets) -> Variables:
        """Return the addresses and their parts."""
        password = secrets.get("password", "")
        who = netloc(settings["host"], settings["port"], settings["username"], password)
        url = f"postgresql://{who}/{quote(settings['database'], safe='')}?sslmode={settings['ssl_mode']}"
        addresses = {"DATABASE_URL": url, "POSTGRES_URL": url}
        plain = {
            "PGHOST": settings["host"],
            "PGPORT": str(settings["port"]),
            "PGUSER": settings["username"],
            "PGDATABASE": settings["database"],
            "PGSSLMODE": settings["ssl_mode"],
        }
        if not password:
            return Variables({**plain, **addresses})
        return Variables(plain, {**addresses, "PGPASSWORD": password})

    def kept(self, settings: Settings) -> Mapping[str, str]:  # noqa: ARG002 - the port
        """Return by which variable the password is kept."""
        return {"password": "PGPASSWORD"}

    def destinations(self, settings: Settings) -> tuple[Destination, ...]:
        """Return where it listens."""
        return (Destination(settings["host"], settings["port"]),)


KIND: Kind = Postgres()


def from_url(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings and secrets that ``postgresql://`` says.

    Raises:
        ServiceInvalidError: It is no such address.
    """
    parts = split(url, ("postgresql", "postgres"))
    username, password = credentials(parts)
    mode = parse_qs(parts.query).get("sslmode", [DEFAULTS["ssl_mode"]])[-1]
    settings = {
        "host": parts.hostname,
        "port": parts.port or DEFAULTS["port"],
        "username": username,
        "database": unquote(parts.path.strip("/")) or username,
        "ssl_mode": mode,
    }
    return settings, {"password": password} if password else {}
