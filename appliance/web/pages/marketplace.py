"""The marketplace: what was built and what it is worth, one run of the ledger in full, and servers made of it."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from appliance.accounts.model import Action
from appliance.artifacts import wellknown
from appliance.artifacts.model import (
    ArtifactPlatform,
    RunRecord,
    RunStatus,
    TierClass,
)
from appliance.artifacts.records import pinned_source
from appliance.core.errors import InvalidError
from appliance.web.api.artifacts import artifact_of
from appliance.web.api.marketplace import MarketplaceQuery, page_of
from appliance.web.deploying import deploy as deploy_artifact
from appliance.web.keys import CERTIFICATIONS, EVIDENCE, LEDGER, PROMOTIONS
from appliance.web.pages.evaluations import worth
from appliance.web.pages.server_actions import created_page
from appliance.web.parsing import validate
from appliance.web.render import narrowed, page
from appliance.web.requests import principal_of

routes = web.RouteTableDef()
PAGE_SIZE = 25
LIST = "pages/marketplace/list.html"
ARTIFACT = "pages/marketplace/artifact.html"
FILTERS = ("q", "server_type", "status", "tier")


@routes.get("/marketplace")
async def index(request: web.Request) -> web.Response:
    """Show what was built, and published servers to begin with; htmx asks for both alone when the filter changes."""
    context = await _list_context(request)
    return narrowed(request, LIST, "results", context)


async def _list_context(request: web.Request) -> dict[str, Any]:
    query = _query(request)
    found = await page_of(request, query)
    values = {name: request.query.get(name, "")[:200] for name in FILTERS}
    given = {name: value for name, value in values.items() if value}
    is_narrowed = bool(given.keys() - {"q"})
    here = given | ({"cursor": query.cursor} if query.cursor else {})
    return {
        "entries": found.items,
        "missing": missing,
        "values": values,
        "statuses": list(RunStatus),
        "tiers": list(TierClass),
        "server_types": await request.app[LEDGER].server_types(principal_of(request)),
        "is_filtered": bool(here),
        "is_first": not query.cursor,
        "known": [] if is_narrowed or query.cursor else wellknown.matching(values["q"]),
        "own_url": _address(here),
        "first_url": _address(given) if query.cursor else "",
        "next_url": _address(given | {"cursor": str(found.next)}) if found.next else "",
    }


def _query(request: web.Request) -> MarketplaceQuery:
    """Return what the address asks for; what in it makes no sense is as if it were not there."""
    values = {
        name: value
        for name in (*FILTERS, "cursor")
        if (value := request.query.get(name, "").strip())
    }
    for name in list(values):
        try:
            asked = validate(MarketplaceQuery, {name: values[name]})
            asked.before()
            asked.wanted().tier_parts()
        except InvalidError:
            del values[name]
    return validate(MarketplaceQuery, {**values, "limit": PAGE_SIZE})


def missing(run: RunRecord) -> list[str]:
    """Return the platforms that were wanted and are not there; of a build that did not succeed, none is told. Pure."""
    if run.status is not RunStatus.SUCCEEDED:
        return []
    covered = {item.platform for item in run.platforms}
    return [item for item in run.targets if item not in covered]


def _address(query: dict[str, str]) -> str:
    return f"/marketplace?{urlencode(query)}" if query else "/marketplace"


@routes.get("/marketplace/{artifact}")
async def show(request: web.Request) -> web.Response:
    """Show one run: health, provenance, platforms, credentials, certifications, and its place in the chain."""
    return page(request, ARTIFACT, await artifact_context(request))


async def artifact_context(request: web.Request) -> dict[str, Any]:
    """Return what the page of one run shows."""
    artifact = await artifact_of(request)
    run = artifact.run
    evidence = None
    if run.status is RunStatus.SUCCEEDED and run.platforms:
        evidence = await request.app[EVIDENCE].view(principal_of(request), artifact.id)
    allowed = await request.app[LEDGER].actions(principal_of(request), artifact)
    certified = await request.app[CERTIFICATIONS].of_artifact(
        principal_of(request), artifact.id
    )
    return {
        "artifact": artifact,
        "certifications": await worth(request, certified),
        "values": {},
        "errors": {},
        "problem": None,
        "may_deploy": Action.DEPLOY in allowed,
        "evidence": evidence,
        "lineage": (await request.app[PROMOTIONS].moves.lineage([artifact.id])).get(
            artifact.id
        ),
        "run": run,
        "missing": missing(run),
        "pinned": pinned_source(run),
        "is_hosted": await request.app[LEDGER].is_hosted(artifact),
        "may_write": Action.DEPLOY in allowed,
        "credentials": credentials(run),
    }


def credentials(run: RunRecord) -> list[tuple[str, str]]:
    """Return what the push of the whole, and of each platform where it differs, found out about credentials. Pure."""
    if not run.credential_health_status:
        return []
    whole = _credentials(run)
    found = [("All platforms", whole)]
    found += [
        (item.platform, said)
        for item in run.platforms
        if item.credential_health_status and (said := _credentials(item)) != whole
    ]
    return found


def _credentials(item: RunRecord | ArtifactPlatform) -> str:
    said = [item.credential_health_status]
    for what, attempted, succeeded in (
        ("refresh", item.auth_refresh_attempted, item.auth_refresh_succeeded),
        ("rotation", item.auth_rotation_attempted, item.auth_rotation_succeeded),
    ):
        if attempted:
            said.append(f"{what} {'succeeded' if succeeded else 'failed'}")
    return ", ".join(said)


@routes.post("/marketplace/{artifact}/deploy")
async def deploy(request: web.Request) -> web.Response:
    """Host a new server from the run's source, and show its key this once."""
    artifact = await artifact_of(request)
    view, key = await deploy_artifact(request, principal_of(request), artifact)
    return created_page(request, view, key)
