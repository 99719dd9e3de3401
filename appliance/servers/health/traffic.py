"""What real calls tell of a server: whose fault a failure is, and when all of them together are a verdict. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from appliance.servers.health.model import Step, StepResult

#: So old a call tells nothing any more.
LOOKBACK = timedelta(minutes=15)
#: A tool's own failure may be what its caller asked for. So many in a row, and none that went well, are the server's.
TOOL_FAILURES = 3
#: Of a server's own words, in JSON-RPC: the request was at fault.
_CLIENT_CODES = frozenset({-32700, -32600, -32601, -32602, -32002, -32042, -32800})
#: What the gateway's codes mean, where it answered itself.
_BROKEN, _TIMED_OUT = -32051, -32052
_GATEWAY_CODES = range(-32059, -32049)
_METHOD_NOT_FOUND = -32601
_SERVER_ERROR = 500
#: Classes that the gateway gives to calls which the server did not answer, or not as it must.
_SERVER_CLASSES = frozenset(
    {
        "instance_gone",
        "instance_ended",
        "server_silent",
        "handshake_refused",
        "connection_lost",
        "upstream_unauthorized",
        "server_stuck",
        "answer_too_long",
        "server_not_running",
        "call_timed_out",
    }
)
_CODE = re.compile(r'"code"\s*:\s*"([a-z_]+)"')


class Blame(Enum):
    """Whose fault a failed call is."""

    CLIENT = "client"
    #: A tool said that it failed, which may be its caller's fault.
    TOOL = "tool"
    SERVER = "server"


@dataclass(frozen=True)
class FailedCall:
    """One call that did not go well."""

    ended_at: datetime
    method: str
    target: str
    http_status: int
    error_class: str
    rpc_code: int | None
    #: As it was kept for the traces; ``None``: it was not.
    response: str | None


@dataclass(frozen=True)
class Traffic:
    """The newest calls of the instance that serves now, within ``LOOKBACK``."""

    #: When the newest that went well ended.
    last_good: datetime | None = None
    #: Newest first.
    failed: tuple[FailedCall, ...] = ()


def blame(call: FailedCall) -> Blame:
    """Return whose fault a failed call is; in doubt its client's."""
    if call.error_class == "tool_error":
        return Blame.TOOL
    if call.error_class == "http_error":
        return Blame.SERVER if call.http_status >= _SERVER_ERROR else Blame.CLIENT
    if call.error_class == "rpc_error":
        return Blame.SERVER if _is_servers(call) else Blame.CLIENT
    return Blame.SERVER if call.error_class in _SERVER_CLASSES else Blame.CLIENT


def _is_servers(call: FailedCall) -> bool:
    code = call.rpc_code or 0
    if code in _GATEWAY_CODES:
        named = _CODE.search(call.response or "")
        if named:
            return named[1] in _SERVER_CLASSES
        return code in {_BROKEN, _TIMED_OUT}
    if code == _METHOD_NOT_FOUND:
        # Nobody is at fault who calls a tool at a server that lists tools.
        return call.method == "tools/call"
    return code not in _CLIENT_CODES


def judge(
    traffic: Traffic, now: datetime, recent_s: float, *, has_canary: bool
) -> Step:
    """Return what the calls tell: failed, if every recent one did, or, where there is none, the last ones.

    Args:
        traffic: The calls.
        now: The moment of the check.
        recent_s: So long a call that went well speaks for the server.
        has_canary: A canary call has just succeeded: then a tool's own failures are its callers'.
    """
    streak = _streak(traffic)
    servers = [call for call in streak if blame(call) is Blame.SERVER]
    tools = [call for call in streak if blame(call) is Blame.TOOL]
    is_failing = bool(servers) or (len(tools) >= TOOL_FAILURES and not has_canary)
    good = traffic.last_good
    is_recent_good = good is not None and now - good <= timedelta(seconds=recent_s)
    if is_failing and not is_recent_good:
        return _failed(servers or tools, len(servers) + len(tools))
    if good is None and not (servers or tools):
        return Step("calls", StepResult.SKIPPED, "No call was seen.")
    failures = len(servers) + len(tools)
    return Step("calls", StepResult.PASSED, _seen(good, failures))


def _streak(traffic: Traffic) -> list[FailedCall]:
    """Return the failures since the last call that went well."""
    good = traffic.last_good
    return [call for call in traffic.failed if good is None or call.ended_at > good]


def _seen(good: datetime | None, failures: int) -> str:
    if good is None:
        return f"{failures} {'call' if failures == 1 else 'calls'} failed, which may be their clients' fault."
    since = f", and {failures} failed since" if failures else ""
    return f"The last call that went well ended at {good:%H:%M:%S} UTC{since}."


def _failed(calls: Sequence[FailedCall], count: int) -> Step:
    newest = calls[0]
    what = f"{newest.method} {newest.target}".strip()
    kind = newest.rpc_code or newest.error_class
    if newest.error_class == "http_error":
        kind = newest.http_status
    return Step(
        "calls",
        StepResult.FAILED,
        f"Every call fails: {'the last one' if count == 1 else f'{count} in a row'}, the newest {what}.",
        answer=newest.response or "",
        cause=f"{newest.error_class}:{kind}",
    )
