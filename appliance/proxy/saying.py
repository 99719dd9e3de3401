"""What may stand in Nginx's configuration: every value is held against a pattern of its kind before it is written. Pure."""

import re
from pathlib import Path

from appliance.core.front_door import is_host_name, is_wildcard, listen_addresses
from appliance.core.proxies import networks_of
from appliance.proxy.errors import UnsayableError

#: Within quotation marks nothing else ends a word or begins a variable.
_PATH = re.compile(r"/[^\x00-\x1f\x7f\"\\$]{0,400}")
_PEER = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def path(value: Path) -> str:
    """Return an absolute path in quotation marks.

    Raises:
        UnsayableError: It holds what ends a word, or what begins a variable.
    """
    text = str(value)
    if not _PATH.fullmatch(text):
        raise _refused("path", text, "an absolute path without quotes, $ and \\")
    return f'"{text}"'


def peer(value: str) -> str:
    """Return the address of a process that is asked.

    Raises:
        UnsayableError: It is none.
    """
    if not _PEER.fullmatch(value):
        raise _refused("address", value, "such as 127.0.0.1:3000")
    return value


def name(value: str) -> str:
    """Return the name of a host.

    Raises:
        UnsayableError: It is none.
    """
    if not is_host_name(value):
        raise _refused(
            "name", value, "a host's name in lower case, such as example.org"
        )
    return value


def wildcard(value: str) -> str:
    """Return the name behind ``*.``.

    Raises:
        UnsayableError: It is no wildcard.
    """
    if not is_wildcard(value):
        raise _refused("wildcard", value, "such as *.example.org")
    return value.removeprefix("*.")


def address(value: str) -> str:
    """Return an address to listen on.

    Raises:
        UnsayableError: It is none.
    """
    try:
        found = listen_addresses(value)
    except ValueError:
        found = ()
    if found != (value,):
        raise _refused("address", value, "such as 0.0.0.0 or [::]")
    return value


def network(value: str) -> str:
    """Return a network.

    Raises:
        UnsayableError: It is none.
    """
    try:
        (found,) = networks_of(value)
    except ValueError:
        raise _refused("network", value, "such as 10.0.0.0/8") from None
    return str(found)


def user(value: str) -> str:
    """Return the name of a user.

    Raises:
        UnsayableError: It is none.
    """
    if not _USER.fullmatch(value):
        raise _refused("user", value, "such as www-data")
    return value


def number(value: float, *, least: float = 0) -> str:
    """Return a number without a sign.

    Raises:
        UnsayableError: It is below ``least``, or none.
    """
    if not least <= value <= 2**53:
        raise _refused("number", str(value), f"at least {least:g}")
    return f"{value:d}" if isinstance(value, int) else f"{value:.3f}"


def _refused(kind: str, value: str, right: str) -> UnsayableError:
    return UnsayableError(
        f"The {kind} {value[:100]!r} cannot be written into Nginx's configuration.",
        hint=f"Give {right}.",
    )
