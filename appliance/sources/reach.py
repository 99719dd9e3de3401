"""Which addresses a remote server may have. Pure: names are resolved elsewhere."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def is_private(address: str) -> bool:
    """Tell whether an IP address is one that only this box or its neighbours can mean.

    Args:
        address: An IPv4 or IPv6 address, without brackets; a zone (``%eth0``) is
            ignored.
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        # ::ffff:127.0.0.1 and the translation prefixes are other ways to write an IPv4
        # address.
        inner = (
            found.ipv4_mapped
            or found.sixtofour
            or (found.teredo[1] if found.teredo else None)
            or _nat64(found)
        )
        if inner is not None:
            found = inner
    return not found.is_global or found.is_multicast


def _nat64(address: IPv6Address) -> IPv4Address | None:
    packed = address.packed
    return (
        IPv4Address(packed[12:])
        if packed[:12] == bytes.fromhex("0064ff9b") + bytes(8)
        else None
    )


def names_private(url: str) -> bool:
    """Tell whether a URL says outright that it means this box or its neighbours; other names must be resolved."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in _LOCAL_NAMES or host.endswith(_LOCAL_SUFFIXES):
        return True
    try:
        return is_private(host)
    except ValueError:
        # "127.1", "0x7f.1" and "2130706433" are addresses to a resolver although not to
        # ip_address.
        return all(part.isdigit() or part.startswith("0x") for part in host.split("."))
