"""What the palette finds: pages, actions, servers."""

from dataclasses import dataclass

from aiohttp import web

from appliance.accounts.access import may_create
from appliance.web import words
from appliance.web.keys import SERVERS
from appliance.web.render import page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()
MAX_SERVERS = 8


@dataclass(frozen=True)
class Item:
    """One thing to go to."""

    word: str
    href: str
    symbol: str
    kind: str
    for_admins: bool = False


NEW = Item("New server", "/servers/new", "plus", "action")
NEW_BUNDLE = Item("New bundle", "/bundles/new", "plus", "action")
PAGES = (
    NEW,
    NEW_BUNDLE,
    Item("Servers", "/servers", "server", "page"),
    Item("Bundles", "/bundles", "layout-grid", "page"),
    Item("Marketplace", "/marketplace", "package", "page"),
    Item("Domains", "/domains", "globe", "page"),
    Item("Evaluations", "/evaluations", "shield-check", "page"),
    Item("Governance: what waits for me", "/governance", "shield-check", "page"),
    Item("Governance: runs", "/governance/runs", "activity", "page"),
    Item("Workflows", "/governance/workflows", "shield-check", "page"),
    Item("Tracks and promotions", "/governance/tracks", "git-branch", "page"),
    Item("Doctor", "/doctor", "wrench", "page", for_admins=True),
    Item("Backups", "/backups", "download", "page", for_admins=True),
    Item("Registry", "/registry", "container", "page", for_admins=True),
    Item("Front door", "/settings/front-door", "globe", "page", for_admins=True),
    Item(
        "Certificates",
        "/settings/certificates",
        "shield-check",
        "page",
        for_admins=True,
    ),
    Item("Jobs", "/activity/jobs", "activity", "page", for_admins=True),
    Item("Audit", "/activity/audit", "file-text", "page", for_admins=True),
    Item("API keys", "/settings/keys", "key-round", "page"),
    Item("Organisations", "/settings/orgs", "users", "page"),
    Item("Profile, sessions and password", "/settings/sessions", "laptop", "page"),
    Item("Connected apps", "/settings/apps", "plug", "page"),
    Item("Accounts elsewhere", "/settings/accounts", "external-link", "page"),
    Item("Sessions and password", "/settings/sessions", "laptop", "page"),
    Item("People", "/settings/people", "users", "page", for_admins=True),
    Item("Health", "/health", "heart-pulse", "page"),
    Item("Patterns", "/patterns", "layout-grid", "page", for_admins=True),
)


@routes.get("/palette")
async def palette(request: web.Request) -> web.Response:
    """Show what matches; every word of a page's name may be meant."""
    principal = principal_of(request)
    query = request.query.get("q", "").strip()[:200]
    pages = [
        item
        for item in PAGES
        if (principal.is_admin or not item.for_admins)
        and (may_create(principal) or item not in {NEW, NEW_BUNDLE})
        and query.lower() in item.word.lower()
    ]
    views = await request.app[SERVERS].page(principal, query=query, limit=MAX_SERVERS)
    servers = [
        Item(
            view.server.name,
            words.server_path(view.server),
            "server",
            words.SERVER_LOOKS[view.server.status].word,
        )
        for view in views
    ]
    found = [*servers, *pages] if query else [*pages[:1], *servers, *pages[1:]]
    return page(request, "partials/palette.html", {"items": found})
