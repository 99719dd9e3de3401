"""What the front door shall be, by the settings, this box and the certificates that it has. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.core.front_door import is_wildcard
from appliance.core.proxies import networks_of
from appliance.proxy.errors import UnsayableError
from appliance.proxy.model import Limits, Places, Plan
from appliance.settings import Settings

MIB = 1024**2
#: Of what a form has beside its file.
_MARGIN_BYTES = MIB
#: A server may be given so much, whatever GW_MAX_BODY_BYTES says; the gateway then says itself what is too much.
_MOST_BODY_BYTES = 100 * MIB
_LEAVE_WITHIN_S = 3600
_IDLE_S = 0.7
_HTTP = 80
_SPARE_FILES = 64
_MOST_FILES = 65536


@dataclass(frozen=True)
class Box:
    """What this box can."""

    is_root: bool
    has_ipv6: bool
    #: Files that one process may have open.
    files: int


def places_of(settings: Settings) -> Places:
    """Return where everything lies."""
    return Places(settings.proxy_dir.absolute(), settings.run_dir.absolute() / "nginx")


def plan_of(settings: Settings, box: Box, names: Sequence[str]) -> Plan:
    """Return the plan.

    Args:
        names: Hosts and wildcards that have a good certificate.

    Raises:
        UnsayableError: MCP_GATEWAY_URL is no plain address.
    """
    wildcards = tuple(sorted(item for item in names if is_wildcard(item)))
    files = max(512, min(box.files, _MOST_FILES))
    return Plan(
        places=places_of(settings),
        addresses=_addresses(settings.proxy_bind_addresses, has_ipv6=box.has_ipv6),
        http_port=settings.proxy_http_port,
        https_port=settings.proxy_https_port,
        hub=f"{_reached(settings.bind_address)}:{settings.bind_port}",
        gateway=_gateway(settings.mcp_gateway_url),
        hub_names=settings.box_names,
        gateway_names=settings.gateway_names,
        wildcards=wildcards,
        apart=_apart(wildcards, names),
        limits=Limits(
            settings.proxy_requests_per_second,
            settings.proxy_request_burst,
            settings.proxy_connections_per_address,
        ),
        hsts_seconds=settings.proxy_hsts_seconds,
        hub_body_bytes=_hub_body_bytes(settings),
        gateway_body_bytes=max(
            settings.gw_max_body_bytes + _MARGIN_BYTES, _MOST_BODY_BYTES
        ),
        leave_within_s=max(_LEAVE_WITHIN_S, round(settings.gw_timeout) + 1),
        idle_s=min(_IDLE_S, settings.gw_keepalive / 2, settings.hub_keepalive / 2),
        trusted=_trusted(settings),
        user=settings.proxy_user if box.is_root else None,
        files=files,
        # Each request has two: the client's, and ours behind it.
        connections=(files - _SPARE_FILES) // 2 * 2,
    )


def without(plan_names: Sequence[str], bad: Sequence[str]) -> tuple[str, ...]:
    """Return names without those that are left out."""
    out = set(bad)
    return tuple(item for item in plan_names if item not in out)


def _apart(wildcards: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    behind = {item.removeprefix("*.") for item in wildcards}
    return tuple(
        sorted(
            item
            for item in names
            if not is_wildcard(item) and item.partition(".")[2] in behind
        )
    )


def _addresses(text: str, *, has_ipv6: bool) -> tuple[str, ...]:
    found = text.split(",")
    usable = [item for item in found if has_ipv6 or not item.startswith("[")]
    return tuple(usable or ["0.0.0.0"])  # noqa: S104 - a door that nobody finds is none


def _reached(address: str) -> str:
    """Return where a process is reached from this box that listens on ``address``."""
    if address in {"0.0.0.0", "localhost"}:  # noqa: S104 - as somebody may have set it
        return "127.0.0.1"
    if address == "::":
        return "[::1]"
    return f"[{address}]" if ":" in address else address


def _gateway(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UnsayableError(
            f"The front door cannot ask a gateway at {url}.",
            hint="Give MCP_GATEWAY_URL as http://address:port; the way there is this box or a network of your own.",
        )
    return f"{_reached(parts.hostname)}:{parts.port or _HTTP}"


def _hub_body_bytes(settings: Settings) -> int:
    largest = max(
        settings.files_upload_max_bytes,
        settings.archive_max_mib * MIB,
        settings.evaluation_evidence_max_mib * MIB,
    )
    return largest + _MARGIN_BYTES


def _trusted(settings: Settings) -> tuple[str, ...]:
    # From this box anybody could come, and say anything.
    told = networks_of(settings.trusted_proxies)
    return tuple(str(item) for item in told if not item.is_loopback)
