"""What Nginx itself answers: problems for programs, small pages for people. Pure, and the same on every box.

Hub and gateway tell their own errors; these are for when nobody behind the door answers, or nobody should be asked.
"""

import base64
import hashlib
import html
import json
from dataclasses import dataclass

_TYPE = "urn:mcp-host:problem:"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.5rem;color:#1f2430;background:#fff}"
    "h1{font-size:1.4rem}code{color:#5b6275}"
    "@media(prefers-color-scheme:dark){body{color:#e4e6ee;background:#14161d}code{color:#9aa1b5}}"
)


@dataclass(frozen=True)
class Told:
    """One kind of answer."""

    status: int
    title: str
    code: str
    detail: str
    hint: str
    #: Seconds after which to try again; 0: trying again helps nobody.
    retry_after_s: int = 0


def problem(told: Told) -> str:
    """Return RFC 9457 JSON; Nginx puts the request's id into ``$request_id``."""
    found = {
        "type": _TYPE + told.code,
        "title": told.title,
        "status": told.status,
        "code": told.code,
        "detail": told.detail,
        "request_id": "$request_id",
        "hint": told.hint,
    }
    return json.dumps(found)


def page(told: Told) -> str:
    """Return the same for a person; where trying again may help, the page does so by itself."""
    again = (
        f'<meta http-equiv="refresh" content="{told.retry_after_s}">'
        if told.retry_after_s
        else ""
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{again}<title>{html.escape(told.title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{html.escape(told.detail)}</h1><p>{html.escape(told.hint)}</p>"
        f"<p><code>{told.status} · $request_id</code></p></main></body></html>"
    )


def page_policy() -> str:
    """Return the Content-Security-Policy of ``page``: its own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def away(who: str) -> dict[int, Told]:
    """Return what is told while ``hub`` or ``gateway`` does not answer, by status."""
    what = {
        "hub": "MCP Host is being started or upgraded.",
        "gateway": "The gateway is being started or upgraded.",
    }[who]
    hint = {
        "hub": "Hosted servers go on answering meanwhile. Try again in a few seconds; if it stays so, the operator finds the "
        "reason with: mcp-host status",
        "gateway": "Nothing was lost that was answered. Try again in a few seconds; if it stays so, the operator finds the "
        "reason with: mcp-host status",
    }[who]
    slow = f"The {who} did not answer in time."
    return {
        502: Told(502, "Bad Gateway", f"{who}_away", what, hint, 5),
        503: Told(503, "Service Unavailable", f"{who}_away", what, hint, 5),
        504: Told(504, "Gateway Timeout", f"{who}_slow", slow, hint, 5),
    }


#: What is refused before anybody is asked.
REFUSALS = {
    400: Told(
        400,
        "Bad Request",
        "malformed",
        "The request cannot be read.",
        "Send one well-formed HTTP request.",
    ),
    404: Told(
        404,
        "Not Found",
        "no_such_address",
        "Nothing is at this address.",
        "Look at the address again.",
    ),
    405: Told(
        405,
        "Method Not Allowed",
        "method_not_allowed",
        "This method is not taken here.",
        "Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS.",
    ),
    408: Told(
        408,
        "Request Timeout",
        "too_slow",
        "The request did not arrive in time.",
        "Send it again.",
    ),
    413: Told(
        413,
        "Content Too Large",
        "too_large",
        "The request's body is larger than may be sent here.",
        "Send less, or have the operator raise the limit.",
    ),
    414: Told(
        414,
        "URI Too Long",
        "too_long",
        "The address is too long.",
        "Send what it carries in the body.",
    ),
    429: Told(
        429,
        "Too Many Requests",
        "too_often",
        "That was too often, or too much at once.",
        "Wait a second, and then ask less often.",
        1,
    ),
    431: Told(
        431,
        "Request Header Fields Too Large",
        "too_long",
        "The request's headers are too long.",
        "Send fewer or shorter ones.",
    ),
    500: Told(
        500,
        "Internal Server Error",
        "front_door_fault",
        "The front door could not answer.",
        "Its log says why; tell the operator the number below.",
    ),
}
