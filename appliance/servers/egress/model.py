"""What is known of a server's way out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from appliance.core.egress import EgressPolicy


@dataclass(frozen=True)
class Attempt:
    """Where a server went, or tried to."""

    #: As the server named it: a name, or an address.
    destination: str
    #: 0: there is none, or it only asked for the name.
    port: int
    #: ``tcp``, ``udp``, ``icmp``, ``dns`` for a name that was only asked for.
    protocol: str
    allowed: bool
    #: Why it was denied last.
    reason: str
    attempts: int
    bytes_sent: int
    bytes_received: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Enforcement:
    """Whether the policies are enforced on this box."""

    enforced: bool
    #: What is missing, with the next step; empty: nothing.
    problem: str


@dataclass(frozen=True)
class ServerEgress:
    """Everything that a server's egress page shows."""

    #: What counts: as chosen, or by default what was declared, and always what its services need.
    policy: EgressPolicy
    #: Whether somebody chose; ``False``: the default of its kind of source.
    is_chosen: bool
    #: ``host:port`` to where it was found: what the server seems to need.
    declared: Mapping[str, str]
    #: ``host:port`` of its service integrations.
    services: tuple[str, ...]
    enforcement: Enforcement
