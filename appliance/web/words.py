"""How the pages say things: states with their icon and tone, times, durations, sizes, sources. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from appliance.bundles.model import Bundle
from appliance.core import secret_names, units
from appliance.servers.model import DeploymentState, Server, Status
from appliance.sources.model import (
    ArchiveSource,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)

Tone = Literal["ok", "warn", "bad", "busy", "idle"]
size = units.size
looks_secret = secret_names.looks_secret


def secret_names_of(names: Iterable[str]) -> list[str]:
    """Return those that stand for secrets, as far as names can tell."""
    return sorted(filter(looks_secret, names))


@dataclass(frozen=True)
class Look:
    """How one state is shown: never by colour alone."""

    word: str
    icon: str
    tone: Tone


SERVER_LOOKS: dict[Status, Look] = {
    Status.QUEUED: Look("Queued", "hourglass", "idle"),
    Status.CLONING: Look("Cloning", "loader-circle", "busy"),
    Status.BUILDING: Look("Building", "loader-circle", "busy"),
    Status.PUSHING: Look("Pushing", "loader-circle", "busy"),
    Status.PENDING_EVALUATION: Look("Waits for evaluation", "circle-pause", "warn"),
    Status.PENDING_GOVERNANCE: Look("Waits for approval", "circle-pause", "warn"),
    Status.STARTING: Look("Starting", "loader-circle", "busy"),
    Status.RUNNING: Look("Running", "circle-check", "ok"),
    Status.DEGRADED: Look("Degraded", "triangle-alert", "warn"),
    Status.STOPPING: Look("Stopping", "loader-circle", "busy"),
    Status.STOPPED: Look("Stopped", "circle-stop", "idle"),
    Status.ERROR: Look("Error", "circle-x", "bad"),
}


def reason_tone(status: Status, newest: DeploymentState | None) -> Tone:
    """Return how the reason of a status is told; that of a server that runs is a warning where its newest deployment failed."""
    tone = SERVER_LOOKS[status].tone
    if tone != "ok":
        return tone
    return "warn" if newest is DeploymentState.FAILED else "idle"


#: Deployments, builds, jobs, audit outcomes and health parts, by the word that the model uses.
_OTHER_LOOKS: dict[str, Look] = {
    "alert-warning": Look("Warning", "triangle-alert", "warn"),
    "alert-critical": Look("Critical", "circle-x", "bad"),
    "warning": Look("80 %", "triangle-alert", "warn"),
    "reached": Look("Used up", "circle-x", "bad"),
    "pending": Look("Pending", "hourglass", "idle"),
    "launch": Look("Launches", "circle-check", "ok"),
    "build": Look("Is built", "hammer", "idle"),
    "hold-evaluation": Look("Waits for evaluation", "circle-pause", "warn"),
    "hold-governance": Look("Waits for approval", "circle-pause", "warn"),
    "refuse": Look("Refused", "circle-x", "bad"),
    "live": Look("Live", "circle-check", "ok"),
    "active": Look("Active", "circle-check", "ok"),
    "issuing": Look("Certificate on its way", "loader-circle", "busy"),
    "not-yet": Look("Not yet", "hourglass", "idle"),
    "broken": Look("No verdict", "triangle-alert", "warn"),
    "superseded": Look("Superseded", "circle-stop", "idle"),
    "failed": Look("Failed", "circle-x", "bad"),
    "cancelled": Look("Cancelled", "ban", "idle"),
    "rolled-back": Look("Taken back", "rotate-cw", "bad"),
    "waiting": Look("Waiting", "hourglass", "idle"),
    "building": Look("Building", "loader-circle", "busy"),
    "built": Look("Built", "circle-check", "ok"),
    "pushing": Look("Pushing", "loader-circle", "busy"),
    "done": Look("Done", "circle-check", "ok"),
    "cached": Look("Cached", "circle-check", "idle"),
    "queued": Look("Queued", "hourglass", "idle"),
    "running": Look("Running", "loader-circle", "busy"),
    "succeeded": Look("Succeeded", "circle-check", "ok"),
    "allowed": Look("Done", "circle-check", "ok"),
    "denied": Look("Denied", "ban", "warn"),
    "refused": Look("Refused", "ban", "warn"),
    "replayed": Look("Came before", "ban", "warn"),
    "coalesced": Look("Taken in", "hourglass", "idle"),
    "ping": Look("Ping", "circle-check", "ok"),
    "ignored": Look("Nothing to do", "circle-dot", "idle"),
    "added": Look("Added", "plus", "ok"),
    "removed": Look("Removed", "x", "bad"),
    "changed": Look("Changed", "rotate-cw", "warn"),
    "renamed": Look("Renamed", "arrow-right", "warn"),
    "gold": Look("Gold", "shield-check", "ok"),
    "silver": Look("Silver", "circle-dot", "idle"),
    "watchlist": Look("Watchlist", "triangle-alert", "warn"),
    "deleted": Look("Removed", "trash-2", "idle"),
    "healthy": Look("Healthy", "circle-check", "ok"),
    "expiring": Look("Near its end", "triangle-alert", "warn"),
    "expired": Look("Expired", "circle-x", "bad"),
    "missing": Look("Missing", "circle-x", "bad"),
    "anonymous": Look("Without credentials", "circle-dot", "idle"),
    "wanted": Look("Wanted", "hourglass", "idle"),
    "ordering": Look("Being ordered", "loader-circle", "busy"),
    "valid": Look("Valid", "circle-check", "ok"),
    "revoking": Look("Being revoked", "loader-circle", "busy"),
    "revoked": Look("Revoked", "ban", "idle"),
    "kept": Look("Kept", "circle-check", "ok"),
    "pruned": Look("Pruned", "ban", "idle"),
    "skipped": Look("Skipped", "ban", "idle"),
    "started": Look("Started", "loader-circle", "busy"),
    "ok": Look("Well", "circle-check", "ok"),
    "degraded": Look("Degraded", "triangle-alert", "warn"),
    "down": Look("Down", "circle-x", "bad"),
    "ready": Look("Ready", "circle-check", "ok"),
    "failing": Look("Failing", "circle-x", "bad"),
    "unknown": Look("Not known yet", "hourglass", "idle"),
    "passed": Look("Passed", "circle-check", "ok"),
    "attached": Look("In the registry", "circle-check", "ok"),
    "local": Look("On this box", "circle-check", "ok"),
    "in_progress": Look("In progress", "loader-circle", "busy"),
    "completed": Look("Completed", "circle-check", "ok"),
    "rejected": Look("Rejected", "ban", "bad"),
    "scheduled": Look("Scheduled", "hourglass", "idle"),
    "approved": Look("Approved", "check", "ok"),
    "rolled_back": Look("Rolled back", "rotate-cw", "bad"),
}

#: By what a deployment was started.
TRIGGERS = {
    "create": "Creation",
    "start": "Start",
    "redeploy": "Redeploy",
    "configure": "Configuration",
    "settings": "Settings",
    "source": "New archive",
    "secrets": "Secrets",
    "webhook": "Webhook",
    "second-attempt": "Second attempt",
    "rollback": "Rollback",
    "automatic-rollback": "Automatic rollback",
}

#: The steps of a check of a server's health.
HEALTH_STEPS = {
    "alive": "Is its process there?",
    "open": "Does it open?",
    "tools/list": "Does it list its tools?",
    "canary": "Does its canary call succeed?",
    "calls": "Do its clients' calls succeed?",
}

#: What something is decided for.
PURPOSES = {
    "serve": "To serve clients",
    "candidate": "To be evaluated alone",
    "build": "To be built",
    "keep": "To go on running",
    "explain": "To see what would happen",
}

CALL_LOOKS: dict[str, Look] = {
    "ok": Look("Answered", "circle-check", "ok"),
    "error": Look("Failed", "circle-x", "bad"),
}

SOURCE_ICONS = {
    "package": "package",
    "git": "git-branch",
    "archive": "file-text",
    "image": "container",
    "remote": "globe",
}

_BROWSERS = tuple(
    re.compile(rf"(?P<name>{name})/(?P<version>\d+)")
    for name in ("Edg", "OPR", "Firefox", "HeadlessChrome", "Chrome", "Version")
)
_NAMES = {
    "Edg": "Edge",
    "OPR": "Opera",
    "HeadlessChrome": "Chrome",
    "Version": "Safari",
}
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

_SPANS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_JUST_NOW_S = 5
_MINUTE_S = 60
_HOUR_S = 3600


def look_of(state: str) -> Look:
    """Return how a deployment, build, job, audit outcome or health part is shown; an unknown word is shown as it is."""
    return _OTHER_LOOKS.get(state) or Look(
        state.replace("_", " ").capitalize(), "circle-dot", "idle"
    )


def relative(moment: datetime, now: datetime) -> str:
    """Return ``3 minutes ago``, ``in 2 hours`` or ``just now``."""
    distance_s = (now - moment).total_seconds()
    if abs(distance_s) < _JUST_NOW_S:
        return "just now"
    count, unit = next(
        (int(abs(distance_s) // span), unit)
        for span, unit in _SPANS
        if abs(distance_s) >= span
    )
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if distance_s > 0 else f"in {words}"


def exact(moment: datetime) -> str:
    """Return the whole moment, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(span: timedelta | float) -> str:
    """Return ``80 ms``, ``1.4 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < _HOUR_S:
        return _two(int(seconds // 60), "min", int(seconds % 60), "s")
    return _two(int(seconds // 3600), "h", int(seconds % 3600 // 60), "min")


def milliseconds(count: float) -> str:
    """Return ``0.84 ms``, ``12 ms`` or ``1.4 s``: calls are quick, and half a millisecond is not none."""
    return f"{count:.2g} ms" if count < 10 else duration(count / 1000)  # noqa: PLR2004 - two digits tell enough


def _two(large: int, unit: str, small: int, smaller_unit: str) -> str:
    return f"{large} {unit} {small} {smaller_unit}" if small else f"{large} {unit}"


def source_text(source: Source) -> str:
    """Return the source as a person would write it."""
    match source:
        case PackageSource():
            pin = (
                f"=={source.version}"
                if source.ecosystem.value == "pypi"
                else f"@{source.version}"
            )
            return (
                f"{source.ecosystem.value}:{source.name}{pin if source.version else ''}"
            )
        case GitSource():
            branch = f" at {source.branch}" if source.branch else ""
            where = f", {source.subdirectory}" if source.subdirectory else ""
            return f"{source.url}{branch}{where}"
        case ArchiveSource():
            where = f", {source.subdirectory}" if source.subdirectory else ""
            return f"{source.filename} ({source.digest[:19]}…){where}"
        case ImageSource():
            return source.reference
        case RemoteSource():
            return source.url


def browser(user_agent: str) -> str:
    """Return ``Chrome 156 on Linux`` for what a browser calls itself, or its first word."""
    # Every browser also names those that it is like, so the rarer name decides.
    found = next(
        (match for pattern in _BROWSERS if (match := pattern.search(user_agent))), None
    )
    system = next((word for mark, word in _SYSTEMS if mark in user_agent), "")
    if found is None:
        return user_agent.split("/", maxsplit=1)[0][:40] or "Unknown"
    name = _NAMES.get(found["name"], found["name"])
    return (
        f"{name} {found['version']} on {system}"
        if system
        else f"{name} {found['version']}"
    )


def short_digest(reference: str) -> str:
    """Return an image reference or digest with the hash cut to 12 digits."""
    head, mark, digest = reference.rpartition("sha256:")
    return f"{head}{mark}{digest[:12]}" if mark else reference


def bundle_path(bundle: Bundle) -> str:
    """Return the address of a bundle's page: by its name, unless the name would mean something else there."""
    ambiguous = bundle.name == "new" or bundle.name.isdigit()
    return f"/bundles/{bundle.id if ambiguous else bundle.name}"


def server_path(server: Server) -> str:
    """Return the address of a server's page: by its name, unless the name would mean something else there."""
    ambiguous = server.name == "new" or server.name.isdigit()
    return f"/servers/{server.id if ambiguous else server.name}"
