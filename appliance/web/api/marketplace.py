"""/api/marketplace: what was built for each server and what it is worth, and published servers to begin with."""

from aiohttp import web
from pydantic import Field

from appliance.artifacts import wellknown
from appliance.artifacts.model import CatalogQuery, RunStatus
from appliance.artifacts.service import CatalogPage
from appliance.core.errors import InvalidError
from appliance.web.api.artifact_answers import (
    CatalogAnswer,
    MarketplacePage,
    WellKnownAnswer,
    WellKnownList,
)
from appliance.web.keys import LEDGER, PROMOTIONS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, row_id
from appliance.web.routes import Routes

routes = Routes("marketplace")


class PlaceQuery(Input):
    """Where a page begins."""

    cursor: str = Field(
        "", max_length=32, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Entries a page.")

    def before(self) -> int | None:
        """Return the run before which to go on.

        Raises:
            InvalidError: The cursor is none of ours.
        """
        if not self.cursor:
            return None
        found = row_id(self.cursor)
        if found is None:
            raise InvalidError.field(
                "cursor", "give next_cursor of the page before, as it was answered"
            )
        return found


class MarketplaceQuery(PlaceQuery):
    """Which entries."""

    server_type: str = Field(
        "", max_length=64, description="Only servers of this type, in any case."
    )
    status: RunStatus | None = Field(None, description="Only builds that ended so.")
    tier: str = Field(
        "",
        max_length=80,
        description="Only this tier, in any case: `gold`, or `gold:npm`.",
    )
    q: str = Field(
        "",
        max_length=200,
        description="Words, each a part of server name, source, revision, tag, digest, image or platform, in any case.",
    )

    def wanted(self) -> CatalogQuery:
        """Return what is asked for."""
        return CatalogQuery(
            text=self.q,
            server_type=self.server_type,
            status=self.status,
            tier=self.tier,
        )


class WellKnownQuery(Input):
    """Which published servers."""

    q: str = Field("", max_length=200, description="Words of title or description.")


@routes.get("/api/marketplace", summary="Browse what was built")
async def index(request: web.Request, *, query: MarketplaceQuery) -> MarketplacePage:
    """Of each server that the caller may see, the newest build, and the newest that succeeded if that is another."""
    found = await page_of(request, query)
    ids = [item.id for item in found.items]
    lineage = await request.app[PROMOTIONS].moves.lineage(ids)
    return MarketplacePage(
        items=[
            CatalogAnswer.of_entry(item, lineage.get(item.id)) for item in found.items
        ],
        next_cursor=str(found.next) if found.next else None,
    )


async def page_of(request: web.Request, query: MarketplaceQuery) -> CatalogPage:
    """Return the page that ``query`` asks for."""
    return await request.app[LEDGER].search(
        principal_of(request),
        query.wanted(),
        before=query.before(),
        limit=query.limit,
    )


@routes.get("/api/marketplace/catalog", summary="List published servers")
async def catalog(request: web.Request, *, query: WellKnownQuery) -> WellKnownList:  # noqa: ARG001 - the same for everybody
    """Well-known servers by package or image, with what each needs to be told."""
    return WellKnownList(
        items=[WellKnownAnswer.of(item) for item in wellknown.matching(query.q)]
    )
