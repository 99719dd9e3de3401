"""Hosts, ports and addresses as people write them. Pure."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from appliance.core.errors import InvalidError
from appliance.integrations.errors import ServiceInvalidError

MAX_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_OWN = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def host_problem(host: object) -> str:
    """Return what is wrong with a host; empty: nothing."""
    if not isinstance(host, str) or not host:
        return "is required: a name or an address"
    try:
        address = ip_address(host)
    except ValueError:
        if host.lower() in _OWN or host.lower().endswith(".localhost"):
            return (
                "means the server's own container there; give the box's name or address"
            )
        return "" if _NAME.fullmatch(host) else "give a name or an address"
    if address.is_loopback or address.is_unspecified:
        return "means the server's own container there; give the box's name or address"
    return ""


def port_problem(port: object) -> str:
    """Return what is wrong with a port; empty: nothing."""
    is_port = isinstance(port, int) and not isinstance(port, bool)
    return "" if is_port and 1 <= int(str(port)) <= MAX_PORT else "give 1 to 65535"


def where_problems(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with ``host`` and ``port``."""
    found = {
        "host": host_problem(settings["host"]),
        "port": port_problem(settings["port"]),
    }
    return {name: problem for name, problem in found.items() if problem}


def bracketed(host: str) -> str:
    """Return a host as an address writes it."""
    return f"[{host}]" if ":" in host else host


def netloc(host: str, port: int, username: str, password: str) -> str:
    """Return the part of an address that says who and where."""
    who = quote(username, safe="")
    if password:
        who += f":{quote(password, safe='')}"
    return f"{who}@{bracketed(host)}:{port}" if who else f"{bracketed(host)}:{port}"


def split(url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Return an address in its parts.

    Raises:
        ServiceInvalidError: It is none, or of another scheme.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _not_read(schemes) from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise _not_read(schemes)
    return parts


def _not_read(schemes: tuple[str, ...]) -> InvalidError:
    # Without the address: it may hold a password.
    return ServiceInvalidError.field(
        "url", f"give an address such as {schemes[0]}://user:password@host:port/name"
    )


def credentials(parts: SplitResult) -> tuple[str, str]:
    """Return user and password of an address."""
    return unquote(parts.username or ""), unquote(parts.password or "")
