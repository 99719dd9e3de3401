"""What the kernel tells of changes to the network, over netlink."""

import contextlib
import socket

from appliance.egress.nflog import NETLINK_NETFILTER

_NETLINK_ROUTE = 0
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR = 1, 0x10
#: The group of changed rules, as a mask.
_NFT_CHANGES = 1 << 6


class Watch:
    """A socket that the kernel writes to whenever something of a kind changes.

    Args:
        protocol: Of netlink.
        groups: What is told of, as a mask.
    """

    def __init__(self, protocol: int, groups: int) -> None:
        """Subscribe."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.bind((0, groups))
        self._socket.settimeout(0)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Take what was told; who wants to know looks at the box itself."""
        # ENOBUFS: something was missed, which a look mends as well.
        with contextlib.suppress(OSError):
            while self._socket.recv(65536):
                pass


def of_links() -> Watch:
    """Return what is told whenever an interface or an address comes or goes."""
    return Watch(_NETLINK_ROUTE, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR)


def of_rules() -> Watch:
    """Return what is told whenever anybody changes rules of nftables, ours or not."""
    return Watch(NETLINK_NETFILTER, _NFT_CHANGES)
