"""The firewall's rules, as nftables reads them. Pure.

One table of ours; nothing of Docker's or anybody else's is touched. It speaks of this installation's bridges alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.core.egress import RESOLVER, bridge_name

#: From which no server is reached by way of the open internet: this box's neighbours, carriers' and special ranges.
PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
)
#: Of denied packets, how many a second of each server are told; the rest is denied without a word.
TOLD_PER_S = 20


@dataclass(frozen=True)
class Ground:
    """What the rules stand on."""

    prefix: str
    pool: str
    #: Where names are answered, and where connections are taken.
    dns_port: int
    tcp_port: int
    #: Of NFLOG.
    group: int

    @property
    def table(self) -> str:
        """The table's name."""
        return "mcp_host_" + self.prefix.removeprefix("mcp").rstrip("-")


def skeleton(ground: Ground, allowed: str, opened: str) -> str:
    """Return the whole table; loading it replaces what was there, in one step.

    What the box itself sends to our ports is left to the process, which knows no such servers: the table outlives it, and the
    kernel may have given its ports to other programs by then.

    Args:
        allowed: Elements as ``elements`` gives them.
        opened: Elements as ``bridges`` gives them.
    """
    ours = f'"{ground.prefix}*"'
    return f"""\
table inet {ground.table}
delete table inet {ground.table}
table inet {ground.table} {{
  set allowed {{ type ifname . ipv4_addr . inet_service; {_filled(allowed)} }}
  set opened {{ type ifname; {_filled(opened)} }}
  set private {{ type ipv4_addr; flags interval; elements = {{ {", ".join(PRIVATE)} }} }}
  set told {{ type ifname; size 4096; flags dynamic; }}
  chain arriving {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != {ours} accept
    meta nfproto ipv6 drop
    fib saddr . iif oif missing drop
    ct state established,related accept
    ip daddr {RESOLVER} udp dport 53 accept
    iifname . ip daddr . tcp dport @allowed accept
    iifname @opened ip daddr != @private fib daddr type != local accept
    update @told {{ iifname limit rate {TOLD_PER_S}/second burst {2 * TOLD_PER_S} packets }} log group {ground.group}
    meta l4proto tcp reject with tcp reset
    meta l4proto udp reject with icmp port-unreachable
    drop
  }}
  chain led {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname {ours} ip daddr {RESOLVER} udp dport 53 redirect to :{ground.dns_port}
    iifname . ip daddr . tcp dport @allowed redirect to :{ground.tcp_port}
  }}
  chain strangers {{
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    iifname != {ours} tcp dport {ground.tcp_port} reject with tcp reset
    iifname != {ours} udp dport {ground.dns_port} drop
  }}
  chain passing {{
    type filter hook forward priority filter; policy accept;
    oifname {ours} ct direction original drop
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {ground.pool} oifname != {ours} iifname @opened masquerade
  }}
}}
"""


def update(ground: Ground, allowed: str, opened: str) -> str:
    """Return what replaces the elements and leaves the rest."""
    name = f"inet {ground.table}"
    lines = [f"flush set {name} allowed", f"flush set {name} opened"]
    if allowed:
        lines.append(f"add element {name} allowed {{ {allowed} }}")
    if opened:
        lines.append(f"add element {name} opened {{ {opened} }}")
    return "\n".join(lines) + "\n"


def addition(ground: Ground, allowed: str) -> str:
    """Return what adds elements to those that are there."""
    return f"add element inet {ground.table} allowed {{ {allowed} }}\n"


def removal(ground: Ground) -> str:
    """Return what takes everything of ours away, whether it is there or not."""
    return f"table inet {ground.table}\ndelete table inet {ground.table}\n"


def elements(prefix: str, allowed: Iterable[tuple[int, str, int]]) -> str:
    """Return server, address and port as elements of the set."""
    found = {
        f'"{bridge_name(prefix, server)}" . {address} . {port}'
        for server, address, port in allowed
    }
    return ", ".join(sorted(found))


def bridges(prefix: str, servers: Iterable[int]) -> str:
    """Return servers as elements of a set of bridges."""
    return ", ".join(f'"{bridge_name(prefix, server)}"' for server in sorted(servers))


def _filled(elements_: str) -> str:
    return f"elements = {{ {elements_} }}" if elements_ else ""
