"""What callers send, read and checked; what they get, as JSON."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from appliance.core.errors import InvalidError
from appliance.web.problems import MalformedError, UnsupportedMediaError

M = TypeVar("M", bound=BaseModel)
_NUMBER = re.compile(r"\s*[-+]?[0-9.]+(e[-+]?[0-9]+)?\s*", re.IGNORECASE)


class Input(BaseModel):
    """Base of every body and query: what is not known is refused, so that a misspelt field is not silently lost."""

    # Made ready when the first caller sends one: most of them nobody does for days, and each takes ten kilobytes.
    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=False, defer_build=True
    )


def _refuse_number(value: object) -> object:
    """Refuse what pydantic would take for seconds or milliseconds since 1970, as it guesses by their size."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return value
    if isinstance(value, datetime):
        return value
    raise PydanticCustomError("moment", "give a moment such as 2026-01-31T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC: Postgres takes no offsets beyond 16 hours."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "give a moment of the years 1 to 9999") from error  # fmt: skip


#: A moment with its offset, in the words of RFC 3339 alone.
Moment = Annotated[
    AwareDatetime, BeforeValidator(_refuse_number), AfterValidator(_in_utc)
]


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
        # Strictly, so that nothing is taken that the document calls wrong: no 0 for false, no "5" for 5.
        parsed = model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        # From nothing: the error's own text would repeat what was sent.
        raise invalid(error) from None
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
