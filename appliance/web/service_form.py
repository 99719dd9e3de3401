"""From the form of a service to what is asked for. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.integrations.model import Service, ServiceKind, Wanted

#: The controls of each kind, besides name and prefix.
TEXTS = {
    ServiceKind.REDIS: ("host", "username"),
    ServiceKind.POSTGRES: ("host", "username", "database", "ssl_mode"),
    ServiceKind.S3: ("endpoint", "bucket", "region"),
    ServiceKind.CUSTOM: ("host",),
}
NUMBERS = {
    ServiceKind.REDIS: ("port", "database"),
    ServiceKind.POSTGRES: ("port",),
    ServiceKind.S3: (),
    ServiceKind.CUSTOM: ("port",),
}
SWITCHES = {
    ServiceKind.REDIS: ("tls",),
    ServiceKind.POSTGRES: (),
    ServiceKind.S3: ("path_style",),
    ServiceKind.CUSTOM: ("tls",),
}
SECRETS = {
    ServiceKind.REDIS: ("password",),
    ServiceKind.POSTGRES: ("password",),
    ServiceKind.S3: ("access_key_id", "secret_access_key"),
    ServiceKind.CUSTOM: (),
}


def wanted_of(kind: ServiceKind, form: Mapping[str, str]) -> Wanted:
    """Return what a form asks for.

    Raises:
        InvalidError: A number is none, or a line of variables names none.
    """
    settings: dict[str, Any] = {
        name: form[name].strip() for name in TEXTS[kind] if form.get(name, "").strip()
    }
    for name in NUMBERS[kind]:
        if text := form.get(name, "").strip():
            settings[name] = _number(name, text)
    for name in SWITCHES[kind]:
        settings[name] = name in form
    secrets = {name: form[name] for name in SECRETS[kind] if form.get(name)}
    if kind is ServiceKind.CUSTOM:
        given = _variables(form.get("variables", ""))
        settings["variables"] = sorted(given)
        secrets = {name: value for name, value in given.items() if value}
    name = form.get("name", "").strip() or kind.value
    return Wanted(kind, name, form.get("prefix", "").strip(), settings, secrets)


def values_of(service: Service) -> dict[str, str]:
    """Return what a form shows of a service; never a secret."""
    found = {"name": service.name, "prefix": service.prefix}
    for name, value in service.settings.items():
        if isinstance(value, bool):
            found |= {name: "on"} if value else {}
        elif isinstance(value, list):
            found[name] = "\n".join(f"{item}=" for item in value)
        elif value is not None:
            found[name] = str(value)
    return found


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise InvalidError.field(name, "give a number")
    return int(text)


def _variables(text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign:
            raise InvalidError.field("variables", "write NAME=value, one a line")
        found[name.strip()] = value
    return found
