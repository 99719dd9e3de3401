"""Why a member of a bundle does not serve, as the bundle's clients are told."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from appliance.core.errors import DomainError, FailedError, UnavailableError
from appliance.gateway.members import Member
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.screen import ToolRefusedError


class MemberRefusedError(UnavailableError):
    """The bundle's owner may not use this server any more."""

    code = "member_refused"


class MemberSilentError(UnavailableError):
    """The member did not answer the bundle in time."""

    code = "member_silent"


class MemberLiesError(FailedError):
    """The member answered a list with something that is none."""

    code = "member_answer_wrong"


def member_error(member: Member, error: DomainError) -> Envelope:
    """Return the answer to a call that ``member`` cannot take: a JSON-RPC error, which ends no client's session."""
    data = {"member": member.prefix, "server": member.server, "code": error.code}
    return _error(wire.UNAVAILABLE, f"{member.server}: {error.reason}", data)


def unknown(what: str, name: str) -> Envelope:
    """Return the answer to a call of something that no member has."""
    return _error(wire.INVALID_PARAMS, f"Unknown {what}: {name}")


def refused(name: str, refusal: ToolRefusedError) -> Envelope:
    """Return the answer to a call of a tool, here called ``name``, that its server's clients do not get."""
    if refusal.data is None:
        return unknown("tool", name)
    return _error(wire.INVALID_PARAMS, str(refusal), refusal.data)


def no_such_method(method: str) -> Envelope:
    """Return the answer to a method that bundles do not have."""
    return _error(wire.METHOD_NOT_FOUND, f"A bundle has no {method}.")


def no_such_page() -> Envelope:
    """Return the answer to a cursor: a bundle answers a list at once, and gives none."""
    return _error(wire.INVALID_PARAMS, "There is no such cursor.")


def _error(code: int, message: str, data: Mapping[str, Any] | None = None) -> Envelope:
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return Envelope(error=Raw(wire.encode(error)))
