"""Calling a tool from a page, of a server or of a bundle."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from appliance.core.errors import DomainError
from appliance.web.answers import answer_of
from appliance.web.keys import REQUEST_ID
from appliance.web.problems import problem_of
from appliance.web.render import is_htmx, page

CALL_TIMEOUT_S = 60


async def show_call(
    request: web.Request,
    call: Callable[[], Awaitable[dict[str, Any]]],
    whole: str,
    frame: Mapping[str, Any],
) -> web.Response:
    """Make a call and show the answer, or why there is none: below its form, or on the page ``whole``."""
    context: dict[str, Any] = {"problem": None}
    started = time.perf_counter()
    try:
        result = await call()
        context |= {
            "answer": answer_of(result),
            "seconds": time.perf_counter() - started,
        }
    except DomainError as error:
        context["problem"] = problem_of(error, request[REQUEST_ID])
    # An answer that tells of a failure is still the answer to this form: its place is below the form.
    if is_htmx(request):
        return page(request, "partials/answer.html", context)
    return page(request, whole, {**context, **frame})
