"""What a handler wants of its request: who asks, and what they sent, read and checked."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, ValidationError

from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError, UnauthenticatedError
from appliance.web.keys import (
    ACCOUNTS,
    PRINCIPAL,
    SESSION_COOKIE,
    SETTINGS,
    TIME_LIMIT,
)
from appliance.web.problems import MalformedError, UnsupportedMediaError

M = TypeVar("M", bound=BaseModel)
H = TypeVar("H", bound=Callable[..., Any])

#: Every number of so many digits is a bigint.
MAX_ID_DIGITS = 18

#: Seconds between the end of a long call and the end of its request, so that the call's own error is told.
GRACE_S = 5.0


class Access(StrEnum):
    """Who may reach a handler at all; the services decide the rest."""

    PUBLIC = "public"
    USER = "user"
    ADMIN = "admin"


def access(level: Access) -> Callable[[H], H]:
    """Mark a handler; one without a mark is for users, so that forgetting it shuts the door rather than opens it."""

    def mark(handler: H) -> H:
        handler.__access__ = level  # type: ignore[attr-defined]  # functions take attributes, Callable does not say so
        return handler

    return mark


class Input(BaseModel):
    """Base of every body and query: what is not known is refused, so that a misspelt field is not silently lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


def principal_of(request: web.Request) -> Principal:
    """Return who asks.

    Raises:
        UnauthenticatedError: Nobody is signed in.
    """
    found: Principal | None = request.get(PRINCIPAL)
    if found is None:
        raise UnauthenticatedError(
            "Nobody is signed in.",
            hint="Sign in, or send an API key as 'Authorization: Bearer mcph_…'.",
        )
    return found


async def identify(request: web.Request) -> Principal | None:
    """Return whom the request's key or cookie stands for now, or ``None`` when it shows neither, or an old cookie.

    Raises:
        UnknownKeyError: The key is not one of ours, was revoked, or ran out.
    """
    accounts = request.app[ACCOUNTS]
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return await accounts.authenticate_key(credentials.strip())
    cookie = request.cookies.get(SESSION_COOKIE)
    return await accounts.session(cookie) if cookie else None


def client_address(request: web.Request) -> str:
    """Return the address of the peer, for limits and the audit trail."""
    return request.remote or ""


def is_https(request: web.Request) -> bool:
    """Return whether the browser speaks https to us, directly or through the proxy named by PUBLIC_URL."""
    public_url = request.app[SETTINGS].public_url or ""
    return request.secure or public_url.startswith("https://")


def own_url(request: web.Request) -> str:
    """Return where clients reach the hub, without a slash at the end."""
    public_url = request.app[SETTINGS].public_url
    return (public_url or f"{request.scheme}://{request.host}").rstrip("/")


def move_time_limit(request: web.Request, seconds: float | None) -> None:
    """Give the request ``seconds`` from now, or no limit at all."""
    limit = request.get(TIME_LIMIT)
    if limit is None or limit.expired():
        return
    now = asyncio.get_running_loop().time()
    limit.reschedule(None if seconds is None else now + seconds + GRACE_S)


async def parse_body(request: web.Request, model: type[M]) -> M:
    """Read the JSON body.

    Raises:
        UnsupportedMediaError: The body is not said to be JSON.
        MalformedError: It is not JSON.
        InvalidError: A field is missing, unknown or wrong; every one is named.
    """
    if request.content_type != "application/json":
        raise UnsupportedMediaError(
            "The body must be JSON.", hint="Send 'Content-Type: application/json'."
        )
    raw = await request.read()
    try:
        parsed = model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(
            error
        ) from None  # the error's own text would repeat what was sent
    if b"\\u0000" in raw:
        _refuse_nul(json.loads(raw), ())
    return parsed


def parse_query(request: web.Request, model: type[M]) -> M:
    """Read the query; the last of a repeated parameter counts.

    Raises:
        InvalidError: A parameter is unknown or wrong; every one is named.
    """
    return validate(model, dict(request.query))


def validate(model: type[M], values: Mapping[str, Any]) -> M:
    """Return ``values`` as ``model``; for queries and forms.

    Raises:
        InvalidError: A value is missing, unknown or wrong; every one is named.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidError:
    """Return pydantic's findings as ours: a sentence a field, and never the value that was sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return MalformedError("The body is not JSON.", hint=str(found[0]["msg"]) + ".")
    fields = {
        ".".join(str(part) for part in item["loc"]) or "body": _sentence(
            item["type"], item["msg"]
        )
        for item in found
    }
    named = ", ".join(fields)
    return InvalidError(f"Some fields are not right: {named}.", fields=fields)


def _sentence(kind: str, message: str) -> str:
    known = {"missing": "is required", "extra_forbidden": "is not known here"}
    if kind in known:
        return known[kind]
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def refuse_unreadable(request: web.Request) -> None:
    """Refuse an address that Postgres could not even compare with: it holds NUL or is not text.

    Raises:
        MalformedError: The path or the query is such.
    """
    texts = [request.path, *request.query.keys(), *request.query.values()]
    if any("\x00" in text or not _is_text(text) for text in texts):
        raise MalformedError("The address holds characters that are not text.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_nul(value: object, path: tuple[str, ...]) -> None:
    """Refuse NUL in any text of a body: Postgres stores none, and C programs stop reading at it."""
    if isinstance(value, str) and "\x00" in value:
        raise InvalidError.field(
            ".".join(path) or "body", "must not hold the NUL character"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_nul(key, (*path, "key"))
            _refuse_nul(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_nul(item, (*path, str(index)))


def json_answer(
    model: BaseModel,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return ``model`` as JSON that no cache keeps."""
    return web.Response(
        body=model.model_dump_json().encode(),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def server_of(request: web.Request) -> int | str:
    """Return the server that the path names: digits are an id, anything else is a name."""
    raw = request.match_info["server"]
    number = row_id(raw)
    return raw if number is None else number


def row_id(text: str) -> int | None:
    """Return the id that ``text`` is, or ``None`` when it can be none: not digits, or more than Postgres' bigint holds."""
    is_id = text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS
    return int(text) if is_id else None


@contextlib.contextmanager
def top_level_fields() -> Iterator[None]:
    """Name fields as the caller wrote them: the API takes a source's fields beside the others, not below ``source``."""
    try:
        yield
    except InvalidError as error:
        error.fields = {
            name.removeprefix("source."): text for name, text in error.fields.items()
        }
        error.detail = error.detail.removeprefix("source.")
        raise
