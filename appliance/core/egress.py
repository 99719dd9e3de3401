"""Where a server may go: what is allowed, JSON and back. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_HOSTS = 200
#: ``api.example.com:443``, ``*.example.com:443``, ``192.0.2.1:5432``.
_ALLOWED = re.compile(
    r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?:[1-9][0-9]{0,4}"
)
MAX_PORT = 65535


class EgressMode(StrEnum):
    """How much of the network a server sees."""

    NONE = "none"
    ALLOW_LIST = "allow-list"
    OPEN = "open"


@dataclass(frozen=True)
class EgressPolicy:
    """Where a server may go."""

    mode: EgressMode = EgressMode.ALLOW_LIST
    #: ``host:port`` each; ``*.`` before a host means every name below it.
    hosts: tuple[str, ...] = ()
    #: Whether what it is denied is kept as a proposal.
    learn: bool = False


def problems(policy: EgressPolicy) -> dict[str, str]:
    """Return what is wrong, by field."""
    if len(policy.hosts) > MAX_HOSTS:
        return {"egress.hosts": f"give at most {MAX_HOSTS} hosts"}
    wrong = [host for host in policy.hosts if not _is_allowed(host)]
    if wrong:
        return {
            "egress.hosts": f"give hosts with ports such as api.example.com:443, not {wrong[0][:100]!r}"
        }
    return {}


def _is_allowed(host: str) -> bool:
    return bool(_ALLOWED.fullmatch(host)) and int(host.rpartition(":")[2]) <= MAX_PORT


def as_dict(policy: EgressPolicy) -> dict[str, Any]:
    """Return the policy as it is stored and answered."""
    return {
        "mode": policy.mode.value,
        "hosts": list(policy.hosts),
        "learn": policy.learn,
    }


def from_dict(data: Mapping[str, Any]) -> EgressPolicy:
    """Return what ``as_dict`` stored; absent keys take their defaults."""
    default = EgressPolicy()
    return EgressPolicy(
        mode=EgressMode(data.get("mode", default.mode)),
        hosts=tuple(data.get("hosts", ())),
        learn=bool(data.get("learn", default.learn)),
    )
