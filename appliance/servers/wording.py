"""What people read about a server: reasons that say what happened, the last output, and what to do next. Pure."""

import re
from collections.abc import Sequence
from datetime import timedelta

from appliance.runtimes.model import Instance, LogLine, Transport
from appliance.servers.model import Deployment
from appliance.sources.model import PackageSource

MAX_LINE = 300
#: Output lines that a reason quotes.
MAX_LINES = 5
#: 128 + SIGKILL. The engine does not always notice that the kernel did it for want of memory.
KILLED = 137
_FAILED = "Deployment "
_HELD = re.compile(r"\s*Deployment \d+ is held: .*\Z", re.DOTALL)


def still_serving(live: Deployment | None) -> str:
    """Return the sentence that tells which deployment users reach meanwhile."""
    return f"Deployment {live.number} serves meanwhile." if live else ""


def failed_beside(failed: Deployment, reason: str, live: Deployment) -> str:
    """Return the reason of a server whose new deployment failed while an older one is live."""
    return f"{_FAILED}{failed.number} failed: {reason} {still_serving(live)}"


def taken_back(failed: Deployment, why: str) -> str:
    """Return the reason of a server whose live deployment is taken back because its calls fail."""
    return f"{_FAILED}{failed.number} failed: {why} It was taken back."


def names_failed_deployment(reason: str) -> bool:
    """Return whether ``reason`` tells of a failed deployment beside a live one; such a reason outlives a restart."""
    return reason.startswith(_FAILED) and " failed: " in reason


def held_beside(held: Deployment, reason: str) -> str:
    """Return what is told of a deployment that is held while an older one serves."""
    return f"Deployment {held.number} is held: {reason}"


def without_hold(reason: str) -> str:
    """Return a reason without what ``held_beside`` added to it."""
    return _HELD.sub("", reason)


def runs_another(deployment: Deployment, wanted: str, running: str) -> str:
    """Return the reason of a server that does not run what was deployed."""
    return (
        f"Deployment {deployment.number} should run the image {wanted or 'that is gone'}, and runs {running or 'nothing'};"
        " redeploy it."
    )


def readable(lines: Sequence[LogLine], transport: Transport) -> list[LogLine]:
    """Return the lines that a reason may quote.

    What a stdio server writes to its stdout are its clients' answers, and nobody else's to read; only one that never spoke
    JSON is quoted, because then that output is what is wrong with it.
    """
    is_speaking = any(
        line.stream == "stdout" and line.text.lstrip().startswith("{") for line in lines
    )
    if transport is not Transport.STDIO or not is_speaking:
        return list(lines)
    return [line for line in lines if line.stream != "stdout"]


def resolved_as_of(source: PackageSource, failed: Deployment, reason: str) -> str:
    """Return why a package is resolved as of a day that nobody asked for; carries the first deployment's reason whole."""
    return (
        f"Resolved as of {source.as_of}, because deployment {failed.number}, with the newest dependencies of"
        f" {source.name} {source.version}, failed: {reason}"
    )


def needs_settings(names: Sequence[str], reason: str) -> str:
    """Return the reason of a server that says which settings it lacks."""
    if not names:
        return reason
    several = "settings" if len(names) > 1 else "setting"
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"It needs the {several} {listed}. {reason}"


def last_output(lines: Sequence[LogLine]) -> str:
    """Return the last lines in one, oldest first; empty if there was none."""
    texts = [line.text.strip()[:MAX_LINE] for line in lines if line.text.strip()]
    return " | ".join(texts[-MAX_LINES:])


def ended(instance: Instance, lines: Sequence[LogLine]) -> str:
    """Return why an instance ended, with its last output."""
    if instance.out_of_memory:
        how = "It ran out of memory; raise memory_limit."
    elif instance.exit_code == 0:
        how = "It ended by itself with exit code 0; an MCP server stays up until its input closes."
    elif instance.exit_code == KILLED:
        how = "It was killed (exit code 137), most often because it used more than memory_limit allows."
    else:
        how = f"It ended with exit code {instance.exit_code}."
    output = last_output(lines)
    return f"{how} Last output: {output}" if output else f"{how} It printed nothing."


def crashed(what: str, crashes: int, pause: timedelta, *, gave_up: bool) -> str:
    """Return the reason of a server that crashed."""
    if gave_up:
        return f"Crashed {crashes} times within 5 minutes and was left stopped; mend it, then start it again. {what}"
    return f"Crashed ({crashes}) and starts again in {int(pause.total_seconds())} s. {what}"


def never_answered(timeout_s: float, problem: str, lines: Sequence[LogLine]) -> str:
    """Return the reason of a server that never spoke MCP."""
    output = last_output(lines)
    said = f" Last output: {output}" if output else ""
    return f"It did not answer as an MCP server within {timeout_s:g} s: {problem}{said}"
