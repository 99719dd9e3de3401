"""What is looked at before a request is sent on: all that needs its body. Each step refuses by an exception of its own."""

from typing import TYPE_CHECKING

from msgspec import Raw

from appliance.core.errors import LimitedError
from appliance.gateway.edge import agreement, allowlist, reading
from appliance.gateway.edge.limits import Refusal
from appliance.gateway.edge.scopes import narrowed_body
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
    from appliance.gateway.edge.telling import Telling

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
    body = call.body
    if body is None:
        raise BodyTooLargeError(f"The body is larger than {plan.body_limit} bytes.")
    if plan.is_post:
        call.sent = body
        try:
            call.message = message = reading.decode(body)
        except reading.UNREADABLE:
            call.message = message = reading.read_leniently(body) or call.message
            call.is_bound = is_marked(body)
        if plan.is_listening and message.method == LISTEN:
            call.deadline = None
        params = message.params
        if params is not None:
            call.is_bound = reading.hold_states(params)
        if not plan.is_legacy or (params is not None and params.meta is not None):
            _tell_era(call)
    else:
        _look_at_bodiless(call)
    if not plan.is_simple:
        _look_closer(call, body)


def _tell_era(call: "Call") -> None:
    """Note the era, and hold a call that may go straight to its server to the rules of it."""
    if call.plan.is_forwardable:
        call.era = agreement.era_of(call.plan.said, call.message)


def _look_at_bodiless(call: "Call") -> None:
    """Look at a GET or a DELETE."""
    plan = call.plan
    if plan.is_stream:
        call.deadline = None
    if plan.is_forwardable:
        call.era = agreement.era_of_version(plan.said.version)
        if call.era == "modern":
            raise PostOnlyError


def _look_closer(call: "Call", body: bytes) -> None:
    """Look at what concerns few requests; the head has told which."""
    plan = call.plan
    if plan.is_foreign_session:
        raise UnknownSessionError("Session not found; initialize again.")
    if plan.admission.lacking and plan.is_post:
        call.sent = body = narrowed_body(body, plan.admission.lacking)
    # Whoever posts beside a stream of HTTP+SSE reads refusals on the stream, which the bridge has.
    if plan.screen is not None and plan.is_post and plan.place.door != "messages":
        call.sent = allowlist.checked_body(wire.decode_body(body), plan.screen)
    if not plan.is_running:
        raise NotRunningError(_why_not_running(plan.route))
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
    """Give the server its own request state and task id back, which a message that is bound holds.

    Raises:
        ForeignStateError: They are not this principal's.
        WireError: The body may hold some, but cannot be read.
    """
    plan, message = call.plan, wire.decode_body(call.sent)
    if not isinstance(message.params, Raw):
        return
    params = plan.desk.binder.check_request(
        bytes(message.params), call.message.method, plan.owner, purpose(call)
    )
    message.params = Raw(params)
    call.sent = wire.encode(message)


def purpose(call: "Telling") -> str:
    """Return what a request state is good for."""
    return f"{call.message.method} {call.message.target()}"


def _why_not_running(route: Route) -> str:
    if route.status_reason:
        return f"{route.name} is {route.status}: {route.status_reason}"
    return f"{route.name} is {route.status}."
