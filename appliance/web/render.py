"""Templates to answers.

One template per page; its live regions are named blocks. A handler names the page or the block, never the request. Undefined
names are errors, everything is escaped.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup

from appliance.accounts.access import BOX, may, may_create
from appliance.accounts.model import Action
from appliance.core.clock import now
from appliance.servers.pinning.invisible import visible
from appliance.web import tabs, words
from appliance.web.assets import Assets
from appliance.web.doors import exposure
from appliance.web.keys import PRINCIPAL, REQUEST_ID, SETTINGS
from appliance.web.requests import Access, access

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"

ASSETS = web.AppKey("assets", Assets)

#: Pages show what is now; htmx asks for parts of them under the same address.
_HEADERS = {"Cache-Control": "no-store", "Vary": "HX-Request"}


def set_up(
    app: web.Application, *, templates: Path = TEMPLATES, static: Path = STATIC
) -> None:
    """Give ``app`` its templates and static files. Blocking; meant for the start."""
    app[ASSETS] = _assets(static)
    app.router.add_get("/static/{version}/{name:.+}", _serve_static, name="static")
    app[aiohttp_jinja2.APP_KEY] = _environment(templates, static)


@cache
def _assets(static: Path) -> Assets:
    return Assets.load(static)


@cache
def _environment(templates: Path, static: Path) -> jinja2.Environment:
    """Return the compiled templates: once a process, because that takes most of a second."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.globals["static"] = _assets(static).url
    environment.globals["words"] = words
    environment.globals["server_tabs"] = tabs.SERVER
    environment.filters["ago"] = _ago
    environment.filters["exact"] = words.exact
    environment.filters["duration"] = words.duration
    environment.filters["size"] = words.size
    environment.filters["source"] = words.source_text
    environment.filters["short"] = words.short_digest
    environment.filters["visible"] = visible
    environment.globals["icon"] = _icons(_assets(static).url("vendor/icons.svg"))
    # Macros are globals rather than imports, because a block rendered alone runs none of its template's imports.
    environment.globals["ui"] = environment.get_template("partials/ui.html").module
    for name in environment.list_templates():
        environment.get_template(name)  # now, so that no request reads files
    return environment


def _icons(file: str) -> Callable[..., Markup]:
    """Return what draws an icon of a file of symbols, by its name and one more class."""
    drawn = Markup(
        '  <svg class="icon {}" aria-hidden="true" focusable="false">\n    <use href="{}#{}"></use>\n  </svg>'
    )

    @lru_cache(maxsize=512)
    def icon(name: str, more: str = "") -> Markup:
        return drawn.format(more, file, name)

    return icon


@access(Access.PUBLIC)
async def _serve_static(request: web.Request) -> web.Response:
    return await request.app[ASSETS].serve(request)


def page(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
) -> web.Response:
    """Return a whole page."""
    found = aiohttp_jinja2.get_env(request.app).get_template(template)
    text = found.render(_framed(request, context))
    return web.Response(
        text=text, status=status, content_type="text/html", headers=_HEADERS
    )


def blocks(
    request: web.Request,
    template: str,
    names: tuple[str, ...],
    context: Mapping[str, Any],
    *,
    status: HTTPStatus = HTTPStatus.OK,
) -> web.Response:
    """Return blocks of a page, one after the other, for htmx to put in place."""
    text = "".join(block(request, template, name, context) for name in names)
    return web.Response(
        text=text, status=status, content_type="text/html", headers=_HEADERS
    )


def block(
    request: web.Request, template: str, name: str, context: Mapping[str, Any]
) -> str:
    """Return one named block of a page as text."""
    found = aiohttp_jinja2.get_env(request.app).get_template(template)
    return "".join(found.blocks[name](found.new_context(_framed(request, context))))


def narrowed(
    request: web.Request, template: str, name: str, context: Mapping[str, Any]
) -> web.Response:
    """Answer with a page that a filter narrows; htmx gets the block ``name`` alone, and the context's ``own_url``."""
    if not is_htmx(request):
        return page(request, template, context)
    answer = blocks(request, template, (name,), context)
    answer.headers["HX-Replace-Url"] = context["own_url"]
    return answer


def partial(target: str, html: str, *, swap: str = "outerMorph") -> str:
    """Return ``html`` addressed to the element ``#target``, wherever the answer or the stream itself is aimed."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'


def is_htmx(request: web.Request) -> bool:
    """Return whether htmx asks for a part of the page rather than the browser for the whole."""
    return (
        request.headers.get("HX-Request") == "true"
        and "HX-History-Restore-Request" not in request.headers
    )


def _framed(request: web.Request, context: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the frame shows on every page."""
    principal = request.get(PRINCIPAL)
    return {
        "me": principal,
        "is_admin": principal is not None and principal.is_admin,
        "sees_box": principal is not None and may(principal, Action.SEE, BOX),
        "may_create": principal is not None and may_create(principal),
        # Every write of this session carries it; empty when nobody is signed in.
        "csrf": principal.csrf_token if principal else "",
        "exposed": exposure(request.app[SETTINGS]),
        "path": request.path,
        "request_id": request.get(REQUEST_ID, ""),
        **context,
    }


def _ago(moment: datetime) -> str:
    return words.relative(moment, now())
