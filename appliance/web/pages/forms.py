"""Forms, as the browser sends them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web

from appliance.core.errors import DomainError, InvalidError
from appliance.web.keys import REQUEST_ID
from appliance.web.problems import MalformedError, problem_of
from appliance.web.render import page

E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", int, float)

#: What must not be shown again after a refusal.
_SECRET = {"password", "current", "new", "csrf_token"}


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the form's text controls; the last of a repeated name counts.

    Raises:
        MalformedError: A value holds NUL, which neither Postgres nor a program's argument can carry.
    """
    found = {
        name: value
        for name, value in (await request.post()).items()
        if isinstance(value, str)
    }
    if any("\0" in value for value in found.values()):
        raise MalformedError("The form holds characters that are not text.")
    return found


def member(kind: type[E], text: str) -> E | None:
    """Return the member of ``kind`` that ``text`` names, or ``None``."""
    try:
        return kind(text)
    except ValueError:
        return None


def number(text: str, kind: Callable[[str], N], field: str) -> N | None:
    """Return the number that ``text`` says; ``None`` if it is empty.

    Raises:
        InvalidError: It says none; names ``field``.
    """
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError:
        raise InvalidError.field(field, "give a number, or nothing") from None


def see_other(location: str) -> web.Response:
    """Return the answer to a form that did its work: go and look."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})


def refused(
    request: web.Request,
    template: str,
    error: DomainError,
    *,
    form: Mapping[str, str],
    context: Mapping[str, Any],
) -> web.Response:
    """Return the form again with what was typed, each problem beside its control, and the whole story above."""
    problem = problem_of(error, request[REQUEST_ID])
    fields = error.fields if isinstance(error, InvalidError) else {}
    kept = {name: value for name, value in form.items() if name not in _SECRET}
    # What stands beside the controls is not said twice.
    shown = {"values": kept, "errors": fields, "problem": replace(problem, fields={})}
    return page(request, template, {**context, **shown}, status=problem.status)
