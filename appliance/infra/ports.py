"""Whether a port can be listened on."""

import socket


def obstacle(address: str, port: int) -> str:
    """Return why nobody could listen there now; empty: one could.

    Args:
        address: An IP address; of IPv6 without brackets.
        port: A TCP port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
