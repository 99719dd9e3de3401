"""The network of one server, as the Docker engine is asked for it. Pure.

An ordinary bridge that leads nowhere: the containers' gateway is an address that only the egress process puts on it, and
nothing from it is translated on the way out. Its name says whose packets it carries, to the firewall and to that process.
"""

from ipaddress import IPv4Network
from typing import Any

from appliance.core.egress import GATEWAY_OFFSET, RESOLVER, bridge_name, bridge_prefix

_BRIDGE = "com.docker.network.bridge."


def network_name(owner: str, server_id: int) -> str:
    """Return what a server's network is called; those of before had another name, and led out."""
    return f"mcp-{owner}-{server_id}-net"


def network_config(
    owner: str, server_id: int, *, subnet: str, labels: dict[str, str]
) -> dict[str, Any]:
    """Return the body of ``POST /networks/create``."""
    first = IPv4Network(subnet).network_address
    return {
        "Name": network_name(owner, server_id),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "EnableIPv6": False,
        "IPAM": {
            "Config": [
                {
                    "Subnet": subnet,
                    "Gateway": str(first + 1),
                    "AuxiliaryAddresses": {
                        "DefaultGatewayIPv4": str(first + GATEWAY_OFFSET)
                    },
                }
            ]
        },
        "Options": {
            f"{_BRIDGE}name": bridge_name(bridge_prefix(owner), server_id),
            f"{_BRIDGE}enable_ip_masquerade": "false",
        },
        "Labels": labels,
    }


def attachment(network: str) -> dict[str, Any]:
    """Return the part of a container's ``HostConfig`` that puts it on its network."""
    return {
        "NetworkMode": network,
        "Dns": [RESOLVER],
        # The box's own domains are nobody's business in there, and each would be asked for first.
        "DnsSearch": ["."],
        "DnsOptions": ["timeout:2"],
    }
