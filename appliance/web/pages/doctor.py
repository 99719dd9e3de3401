"""What the doctor finds on the box, as a page. For administrators."""

from aiohttp import web

from appliance.web.api.doctor import look
from appliance.web.render import blocks, is_htmx, page
from appliance.web.requests import Access, access

routes = web.RouteTableDef()
TEMPLATE = "pages/doctor.html"


@routes.get("/doctor")
@access(Access.ADMIN)
async def doctor(request: web.Request) -> web.Response:
    """Show the page at once; it asks for what is found, which takes seconds. ``?now`` waits for it."""
    if not (is_htmx(request) or "now" in request.query):
        return page(request, TEMPLATE, {"found": None})
    found = await look(request)
    if is_htmx(request):
        return blocks(request, TEMPLATE, ("doctor_findings",), {"found": found})
    return page(request, TEMPLATE, {"found": found})
