"""From what somebody asks to a service that can be kept. Pure."""

import re
from collections.abc import Mapping

from appliance.integrations.errors import ServiceInvalidError
from appliance.integrations.kinds import KINDS, postgres, redis
from appliance.integrations.model import ServiceKind, Variables, Wanted

MAX_NAME = 60
_URLS = {ServiceKind.REDIS: redis.from_url, ServiceKind.POSTGRES: postgres.from_url}
_PREFIX = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,39})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def checked(wanted: Wanted) -> Wanted:
    """Return a wish with every default in its place.

    Raises:
        ServiceInvalidError: Something is wrong; every field is named.
    """
    kind = KINDS[wanted.kind]
    settings = kind.settings(wanted.settings)
    found = kind.problems(settings, wanted.secrets)
    if not 1 <= len(wanted.name) <= MAX_NAME or not wanted.name.isprintable():
        found["name"] = f"give 1 to {MAX_NAME} readable characters"
    if not _PREFIX.fullmatch(wanted.prefix):
        found["prefix"] = "use letters, digits and _, such as CACHE_"
    if wanted.kind is ServiceKind.CUSTOM:
        wrong = [name for name in settings["variables"] if not _is_variable(name)]
        found |= {
            f"variables.{name}": "use letters, digits and _, such as API_URL"
            for name in wrong
        }
    if found:
        named = ", ".join(found)
        raise ServiceInvalidError(f"Some fields are not right: {named}.", fields=found)
    return Wanted(wanted.kind, wanted.name, wanted.prefix, settings, wanted.secrets)


def _is_variable(name: str) -> bool:
    return bool(_VARIABLE.fullmatch(name)) and not name.startswith("CFG_")


def variables_of(wanted: Wanted) -> Variables:
    """Return what the server finds in its environment."""
    made = KINDS[wanted.kind].variables(wanted.settings, wanted.secrets)
    return made.prefixed(wanted.prefix)


def kept_as(wanted: Wanted) -> Mapping[str, str]:
    """Return by which variable each secret field is kept."""
    kept = KINDS[wanted.kind].kept(wanted.settings)
    return {name: wanted.prefix + variable for name, variable in kept.items()}


def from_url(wanted: Wanted, url: str) -> Wanted:
    """Return a wish with what an address says; what is given beside it goes before.

    Raises:
        ServiceInvalidError: The kind has no such address, or it cannot be read.
    """
    read = _URLS.get(wanted.kind)
    if read is None:
        raise ServiceInvalidError.field("url", "is for redis and postgres alone")
    settings, secrets = read(url)
    return Wanted(
        wanted.kind,
        wanted.name,
        wanted.prefix,
        {**settings, **wanted.settings},
        {**secrets, **wanted.secrets},
    )
