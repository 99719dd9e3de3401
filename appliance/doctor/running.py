"""What runs: processes, ports, what hub and gateway say of themselves."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

from appliance.doctor.model import Finding, fail, ok, warn
from appliance.infra import supervisor
from appliance.infra.errors import PortInUseError
from appliance.settings import Settings

_PATIENCE_S = 5.0
_MOST_BYTES = 1024**2


def processes(settings: Settings) -> Iterator[Finding]:
    """Look whether everything runs that should; of a stopped appliance, whether it could be started."""
    is_up = supervisor.layout(settings).socket.exists()
    states = supervisor.status(settings) if is_up else None
    if states is None:
        yield warn("processes", "The appliance is stopped.", "mcp-host up")
        try:
            supervisor.refuse_taken_ports(settings)
        except PortInUseError as error:
            yield fail("ports", error.detail, error.hint or "")
        else:
            yield ok("ports", "Those that it needs are free.")
        return
    wrong = [item for item in states if item.state != "RUNNING"]
    for item in wrong:
        log = settings.data_dir / "log" / f"{item.name}.log"
        yield fail(
            "processes",
            f"{item.name} is {item.state}: {item.description}",
            f"tail {log}",
        )
    if not wrong:
        yield ok("processes", f"{', '.join(item.name for item in states)} run.")
    yield from _hub(settings)
    yield from _gateway(settings)


def _hub(settings: Settings) -> Iterator[Finding]:
    url = f"http://127.0.0.1:{settings.bind_port}/readyz"
    try:
        parts = json.loads(_get(url)).get("parts", [])
    except (OSError, ValueError) as error:
        yield fail(
            "hub",
            f"It does not answer at {url}: {error}.",
            f"tail {settings.data_dir / 'log' / 'hub.log'}",
        )
        return
    for part in parts:
        if part["state"] == "down":
            yield fail(f"hub: {part['name']}", part["text"])
        elif part["state"] == "degraded":
            yield warn(f"hub: {part['name']}", part["text"])
    if all(part["state"] == "ok" for part in parts):
        yield ok("hub", f"All {len(parts)} parts are well.")


def _gateway(settings: Settings) -> Iterator[Finding]:
    url = f"{settings.mcp_gateway_url}/readyz"
    try:
        _get(url)
    except OSError as error:
        yield fail(
            "gateway",
            f"It does not answer at {url}: {error}.",
            f"tail {settings.data_dir / 'log' / 'gateway.log'}",
        )
    else:
        yield ok("gateway", f"It is ready at {settings.mcp_gateway_url}.")


def _get(url: str) -> bytes:
    """Return an answer's body; 503 has one that says why."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - our own addresses
            return bytes(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        if "/readyz" in url and error.code == 503:  # noqa: PLR2004 - unavailable
            body = error.read(_MOST_BYTES)
            if body.startswith(b"{"):
                return body
        raise
