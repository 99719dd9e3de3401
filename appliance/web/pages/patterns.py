"""Every component in every state, for administrators and for tests."""

import re
from http import HTTPStatus
from typing import Any

from aiohttp import web

from appliance.core.clock import now
from appliance.web.answers import answer_of
from appliance.web.keys import REQUEST_ID
from appliance.web.problems import Problem
from appliance.web.render import ASSETS, page
from appliance.web.requests import Access, access
from appliance.web.schema_form import fields_of

routes = web.RouteTableDef()

_SCHEMA: dict[str, Any] = {
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "description": "Some text."},
        "count": {
            "type": "integer",
            "minimum": 1,
            "maximum": 9,
            "default": 3,
            "description": "A whole number.",
        },
        "share": {"type": "number", "description": "Any number."},
        "flag": {"type": "boolean", "description": "True, false, or not given."},
        "colour": {
            "enum": ["red", "green"],
            "default": "green",
            "description": "One of a list.",
        },
        "names": {
            "type": "array",
            "items": {"type": "string"},
            "description": "A list of texts.",
        },
        "options": {
            "type": "object",
            "description": "Whatever has no control of its own is JSON.",
        },
    },
}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg=="
_RESULT: dict[str, Any] = {
    "content": [
        {"type": "text", "text": "Plain text."},
        {"type": "text", "text": '{"timezone": "Etc/UTC", "is_dst": false}'},
        {"type": "image", "mimeType": "image/png", "data": _PIXEL},
        {"type": "resource_link", "uri": "https://example.org/a", "name": "A link"},
        {"type": "audio", "mimeType": "audio/wav"},
    ]
}


@routes.get("/patterns")
@access(Access.ADMIN)
async def patterns(request: web.Request) -> web.Response:
    """Show every component in every state."""
    problem = Problem(
        HTTPStatus.BAD_GATEWAY,
        "failed",
        "The build failed at step 'pip install'.",
        request[REQUEST_ID],
        hint="Read the last output.",
        output=("the last but one line", "the last line"),
    )
    context = {
        "example_time": now(),
        "example_problem": problem,
        "example_fields": fields_of(_SCHEMA),
        "example_snippet": '{\n  "mcpServers": {}\n}',
        "icons": icon_names(request),
        "problem": None,
        "answer": answer_of(_RESULT),
        "seconds": 0.08,
    }
    return page(request, "pages/patterns.html", context)


def icon_names(request: web.Request) -> list[str]:
    """Return the names of the icons in the sprite."""
    sprite = request.app[ASSETS].files["vendor/icons.svg"].content.decode()
    return re.findall(r'id="([a-z0-9-]+)"', sprite)
