"""Names that lead to one server each: domains, and what lies below BASE_DOMAIN. Pure.

There may be thousands, and a new one has to count at once: they are kept in one mapping, which changes one by one while the
routing tables that share it come and go.
"""

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

_WILDCARD = "*."


@dataclass(frozen=True, slots=True)
class Name:
    """One name, and where it leads."""

    #: Lower case, A-labels; of a wildcard with its star.
    host: str
    server: str
    #: Another name of the server, where visitors are sent on to.
    redirect_to: str | None = None
    #: The lower, the earlier it was added.
    number: int = 0
    #: Whether it has its certificate.
    is_active: bool = False


Names = dict[str, Name]


def names_of(rows: list[tuple[Any, ...]]) -> Names:
    """Return all names, as the view has them."""
    return {row[0]: Name(*row) for row in rows}


def take_in(names: MutableMapping[str, Name], payload: str) -> str:
    """Change what a notification tells to have changed, and return the host that it is about."""
    host, server, redirect_to, number, is_active = json.loads(payload)
    if server is None:
        names.pop(host, None)
    else:
        names[host] = Name(host, server, redirect_to, number, bool(is_active))
    return str(host)


def name_at(names: Mapping[str, Name], host: str, base: str = "") -> Name | None:
    """Return what a host is the name of; ``None``: of no single server.

    Args:
        names: All that there are.
        host: Lower case, without port.
        base: BASE_DOMAIN; each label right below it is a server's name, whether there is such a server or not.
    """
    found = names.get(host)
    if found is not None:
        return found
    label, _, parent = host.partition(".")
    if base and parent == base:
        return Name(host, label)
    over = names.get(_WILDCARD + parent)
    return replace(over, host=host) if over is not None and parent else None


def first_names(names: Mapping[str, Name]) -> dict[str, str]:
    """Return by server the name under which it is told to be reached: its first that is active and no wildcard."""
    found: dict[str, Name] = {}
    for item in names.values():
        if not item.is_active or item.redirect_to or item.host.startswith(_WILDCARD):
            continue
        other = found.get(item.server)
        if other is None or item.number < other.number:
            found[item.server] = item
    return {server: item.host for server, item in found.items()}


@lru_cache(maxsize=1024)  # nearly every call names a host that was named before
def host_of(header: str) -> str:
    """Return the name in a ``Host`` header, in lower case, without port; empty: it holds none."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def port_of(header: str) -> str:
    """Return the port in a ``Host`` header with its colon; empty: https' own, or none that can be read."""
    try:
        port = urlsplit(f"//{header}").port
    except ValueError:
        return ""
    return "" if port in {None, 443} else f":{port}"
