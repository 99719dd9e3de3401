"""How settings name resolvers and addresses of this box. Pure."""

import ipaddress
import re
from typing import Final

DNS_PORT: Final = 53
_MAX_PORT: Final = 65535
_RESOLVER: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|([0-9A-Fa-f]*:[0-9A-Fa-f:.]+))(?::([0-9]{1,5}))?"
)


def resolvers_of(text: str) -> tuple[tuple[str, int], ...]:
    """Return the resolvers in ``text``, with commas between, each an address and a port.

    >>> resolvers_of("9.9.9.9, [2620:fe::fe]:5353")
    (('9.9.9.9', 53), ('2620:fe::fe', 5353))

    Raises:
        ValueError: One of them is none; the text names it.
    """
    return tuple(_resolver(item) for item in text.replace(",", " ").split())


def addresses_of(text: str) -> tuple[str, ...]:
    """Return the addresses in ``text``, with commas between, in the one way in which they are compared.

    >>> addresses_of("192.0.2.1, 2001:DB8:0::1")
    ('192.0.2.1', '2001:db8::1')

    Raises:
        ValueError: One of them is none; the text names it.
    """
    found = []
    for item in text.replace(",", " ").split():
        try:
            found.append(str(ipaddress.ip_address(item.strip("[]"))))
        except ValueError as error:
            raise ValueError(
                f"{item!r} is no address; give such as 203.0.113.7 or 2001:db8::7"
            ) from error
    return tuple(dict.fromkeys(found))


def _resolver(item: str) -> tuple[str, int]:
    problem = f"{item!r} is no resolver; give such as 9.9.9.9 or 127.0.0.1:5353"
    match = _RESOLVER.fullmatch(item)
    if match is None:
        raise ValueError(problem)
    port = int(match[4]) if match[4] else DNS_PORT
    try:
        address = ipaddress.ip_address(match[1] or match[2] or match[3])
    except ValueError as error:
        raise ValueError(problem) from error
    if not 0 < port <= _MAX_PORT:
        raise ValueError(problem)
    return str(address), port
