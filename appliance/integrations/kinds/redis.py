"""Redis, and what speaks its protocol. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.integrations.errors import ServiceInvalidError
from appliance.integrations.kinds.addresses import (
    credentials,
    netloc,
    split,
    where_problems,
)
from appliance.integrations.kinds.ports import Destination, Kind, Secrets, Settings
from appliance.integrations.model import Variables

DEFAULTS: dict[str, Any] = {
    "host": "",
    "port": 6379,
    "tls": False,
    "username": "",
    "database": 0,
}
MAX_DATABASE = 99_999


class Redis:
    """``REDIS_URL`` and its parts."""

    def settings(self, given: Settings) -> dict[str, Any]:
        """Return the settings with their defaults."""
        return {**DEFAULTS, **{name: given[name] for name in DEFAULTS if name in given}}

    def problems(self, settings: Settings, secrets: Secrets) -> dict[str, str]:
        """Return what is wrong, by field."""
        found = where_problems(settings)
        number = settings["database"]
        if not isinstance(number, int) or not 0 <= number <= MAX_DATABASE:
            found["database"] = "give the database's number, such as 0"
        if settings["username"] and not secrets.get("password"):
            found["password"] = "is required beside a user name"  # noqa: S105 - a sentence
        return found

    def variables(self, settings: Settings, secrets: Secrets) -> Variables:
        """Return ``REDIS_URL`` and its parts."""
        host, port, password = (
            settings["host"],
            settings["port"],
            secrets.get("password", ""),
        )
        who = netloc(host, port, settings["username"], password)
        scheme = "rediss" if settings["tls"] else "redis"
        url = f"{scheme}://{who}/{settings['database']}"
        plain = {
            "REDIS_HOST": host,
            "REDIS_PORT": str(port),
            "REDIS_DB": str(settings["database"]),
            "REDIS_TLS": "true" if settings["tls"] else "false",
        }
        if settings["username"]:
            plain["REDIS_USERNAME"] = settings["username"]
        if not password:
            return Variables({**plain, "REDIS_URL": url})
        return Variables(plain, {"REDIS_URL": url, "REDIS_PASSWORD": password})

    def kept(self, settings: Settings) -> Mapping[str, str]:  # noqa: ARG002 - the port
        """Return by which variable the password is kept."""
        return {"password": "REDIS_PASSWORD"}

    def destinations(self, settings: Settings) -> tuple[Destination, ...]:
        """Return where it listens."""
        return (Destination(settings["host"], settings["port"]),)


KIND: Kind = Redis()


def from_url(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings and secrets that ``redis://`` or ``rediss://`` says.

    Raises:
        ServiceInvalidError: It is no such address.
    """
    parts = split(url, ("redis", "rediss"))
    username, password = credentials(parts)
    number = parts.path.strip("/") or "0"
    if not number.isdecimal():
        raise ServiceInvalidError.field("url", "ends in the database's number")
    settings = {
        "host": parts.hostname,
        "port": parts.port or DEFAULTS["port"],
        "tls": parts.scheme == "rediss",
        "username": username,
        "database": int(number),
    }
    return settings, {"password": password} if password else {}
