"""What denied attempts mean: which entries would allow them, and how they are told. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address

from appliance.core.egress import EgressPolicy, covers, is_entry, is_never, split
from appliance.servers.egress.model import Attempt

#: Of a name that was only asked for.
USUAL_PORT = 443
TOLD = 3


def proposals(denied: Sequence[Attempt], policy: EgressPolicy) -> tuple[str, ...]:
    """Return the entries that would allow what was denied, the latest first.

    Left out is what should be typed by somebody who means it: addresses that are private, and whole domains.
    """
    tried = {item.destination for item in denied if item.protocol == "tcp"}
    known = {host for host, _ in map(split, policy.hosts)}
    found: dict[str, None] = {}
    for attempt in denied:
        # On which port a name is wanted shows when it has an address; until then the usual one is proposed.
        is_vague = attempt.protocol == "dns"
        entry = entry_of(attempt)
        if not entry or _is_in(entry, policy) or _is_special(attempt.destination):
            continue
        if not (is_vague and attempt.destination in tried | known):
            found[entry] = None
    return tuple(found)


def entry_of(attempt: Attempt) -> str:
    """Return the entry that would allow an attempt; empty: none can."""
    if attempt.protocol == "dns":
        entry = f"{attempt.destination}:{USUAL_PORT}"
    elif attempt.protocol == "tcp":
        entry = f"{attempt.destination}:{attempt.port}"
    else:
        return ""
    host = attempt.destination
    return entry if is_entry(entry) and "." in host and not is_never(host) else ""


def leads_inside(attempt: Attempt) -> bool:
    """Return whether what was denied is, or led to, a private address."""
    return "private" in attempt.reason or _is_special(attempt.destination)


def _is_special(destination: str) -> bool:
    try:
        return not ip_address(destination).is_global
    except ValueError:
        return destination.startswith("*.")


def _is_in(entry: str, policy: EgressPolicy) -> bool:
    host, port = split(entry)
    return any(
        covers(pattern, host) and number == port
        for pattern, number in map(split, policy.hosts)
    )


def sentence(denied: Sequence[Attempt]) -> str:
    """Return what a server was kept from while it started; empty: nothing."""
    names = list(dict.fromkeys(_told(item) for item in denied))
    if not names:
        return ""
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return (
        f"Meanwhile it was kept from {', '.join(names[:TOLD])}{more}: "
        "its Egress page shows what it may reach, and allows it."
    )


def _told(attempt: Attempt) -> str:
    return (
        f"{attempt.destination}:{attempt.port}" if attempt.port else attempt.destination
    )
