"""What is looked at before a request is sent on: all that needs its body. Each step refuses by an exception of its own."""

from typing import TYPE_CHECKING

from msgspec import Raw

from appliance.core.errors import LimitedError
from appliance.gateway.edge import agreement, allowlist, reading
from appliance.gateway.edge.limits import Refusal
from appliance.gateway.edge.states import is_marked
from appliance.gateway.errors import (
    BodyTooLargeError,
    NotRunningError,
    UnknownSessionError,
)
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route

if TYPE_CHECKING:
    from appliance.gateway.edge.call import Call

LISTEN = "subscriptions/listen"


class PostOnlyError(Exception):
    """The modern era has no GET and no DELETE."""


def admit(call: "Call") -> None:
    """Read the request and let it in.

    Raises:
        DomainError: It cannot be carried.
        Exception: It breaks a rule; one of ``failures.REFUSALS``.
    """
    plan = call.plan
    if call.body is None:
        raise BodyTooLargeError(f"The body is larger than {plan.body_limit} bytes.")
    if plan.head.method == "POST":
        _read(call, call.body)
    elif plan.is_stream:
        call.deadline = None
    if plan.is_foreign_session:
        raise UnknownSessionError("Session not found; initialize again.")
    if plan.is_forwardable:
        _tell_era(call)
    route = plan.route
    is_placed = route.container_id or route.address or route.bundle_id
    if route.instance_id is None or not is_placed:
        raise NotRunningError(_why_not_running(route))
    _enter(call)


def _enter(call: "Call") -> None:
    """Count the call under the limits of its key and its server."""
    plan = call.plan
    if plan.limits and plan.desk.limiter is not None:
        entered = plan.desk.limiter.enter(*plan.limits)
        if isinstance(entered, Refusal):
            raise LimitedError(entered.message, retry_after_s=entered.retry_after_s)
        call.token = entered


def read_states(call: "Call") -> None:
    """Give the server its own request state and task id back.

    Raises:
        ForeignStateError: They are not this principal's.
        WireError: The body may hold some, but cannot be read.
    """
    if not is_marked(call.sent):
        return
    plan, message = call.plan, wire.decode_body(call.sent)
    if not isinstance(message.params, Raw):
        return
    params = plan.desk.binder.check_request(
        bytes(message.params), call.message.method, plan.owner, purpose(call)
    )
    message.params = Raw(params)
    call.sent = wire.encode(message)


def purpose(call: "Call") -> str:
    """Return what a request state is good for."""
    return f"{call.message.method} {call.message.target}"


def _read(call: "Call", body: bytes) -> None:
    """Note what the message asks for; keep it to the tools that are allowed."""
    message = reading.read(body)
    if message is not None:
        call.message = message
        said = call.plan.said
        if message.method == LISTEN and said.method == LISTEN:
            call.deadline = None
    allowed = call.plan.route.allowed_tools
    if allowed is not None:
        call.sent = allowlist.checked_body(wire.decode_body(body), allowed)


def _tell_era(call: "Call") -> None:
    said = call.plan.said
    if call.plan.head.method == "POST":
        call.era = agreement.era_of(said, call.message)
        return
    call.era = agreement.era_of_version(said.version)
    if call.era == "modern":
        raise PostOnlyError


def _why_not_running(route: Route) -> str:
    if route.status_reason:
        return f"{route.name} is {route.status}: {route.status_reason}"
    return f"{route.name} is {route.status}."
