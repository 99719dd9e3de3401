"""Forms, as the browser sends them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from appliance.core.errors import DomainError, InvalidError
from appliance.core.secret_names import looks_secret
from appliance.web.keys import CSRF_FIELD, REQUEST_ID
from appliance.web.middleware import require_token
from appliance.web.problems import MalformedError, problem_of
from appliance.web.render import page
from appliance.web.requests import principal_of
from appliance.web.uploads import MULTIPART, chunks_of, parts_of, text_of

H = TypeVar("H", bound=Callable[..., Any])
LEAVE = "pages/account/leave.html"
E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", int, float)

#: What must not be shown again after a refusal.
_SECRET = {
    *("password", "current", "new", "csrf_token", "git_token", "deploy_key"),
    *("secret_value", "secrets"),
}
#: Stands before the names of settings that a server lacks.
SETTING = "setting."
#: Of all text controls together.
MAX_FORM_BYTES = 1024 * 1024


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


Receive = Callable[[str, AsyncIterator[bytes]], Awaitable[dict[str, str]]]


def reads_own_form(handler: H) -> H:
    """Mark a handler that reads its form by ``read_file_form``, which checks the session's token itself."""
    handler.__reads_own_form__ = True  # type: ignore[attr-defined]  # functions take attributes, Callable does not say so
    return handler


async def read_file_form(
    request: web.Request, receive: Receive
) -> tuple[dict[str, str], DomainError | None]:
    """Return the text controls of a form that may bring a file, and what was wrong with the file.

    Args:
        request: Its form begins with the session's token; nothing is taken before.
        receive: Takes a file's name and bytes, and returns the controls that stand for it.

    Raises:
        CrossSiteError: The token is not the session's.
        MalformedError: The form holds what is not text, or too much of it.
    """
    if request.content_type != MULTIPART:
        return await read_form(request), None
    form: dict[str, str] = {}
    has_token = hdrs.AUTHORIZATION in request.headers
    async for part in parts_of(request):
        if part.filename is None:
            text = await text_of(
                part, room=MAX_FORM_BYTES - sum(map(len, form.values()))
            )
            form[part.name or ""] = text
        if not has_token:
            require_token(principal_of(request), form.get(CSRF_FIELD))
            has_token = True
        if part.filename:
            try:
                form |= await receive(part.filename, chunks_of(part))
            except DomainError as error:
                return form, error
    return form, None


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
    kept = {name: value for name, value in form.items() if not _is_secret(name)}
    # What stands beside the controls is not said twice.
    shown = {"values": kept, "errors": fields, "problem": replace(problem, fields={})}
    return page(request, template, {**context, **shown}, status=problem.status)


def leave(request: web.Request, location: str, why: str) -> web.Response:
    """Lead to another site by itself. A form's answer may not: browsers hold its policy against every step of the way."""
    host = urlsplit(location).netloc
    return page(request, LEAVE, {"location": location, "host": host, "why": why})


def _is_secret(control: str) -> bool:
    is_setting = control.startswith(SETTING)
    return control in _SECRET or (
        is_setting and looks_secret(control.removeprefix(SETTING))
    )
