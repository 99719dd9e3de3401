"""/api/servers/{server}/manifest/changes: what servers said of themselves, then and now."""

from datetime import datetime
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.servers.manifests import ManifestChange, What
from appliance.web.api.answer import Answer
from appliance.web.keys import SERVERS
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("manifests")


class ChangesQuery(Input):
    """Which changes."""

    cursor: int | None = Field(
        None, ge=1, lt=2**63, description="`next_cursor` of the page before."
    )
    limit: int = Field(20, ge=1, le=50, description="Changes a page.")


class EntryChange(Answer):
    """One entry that is not what it was."""

    kind: str = Field(
        description="`tool`, `prompt`, `resource`, `resource template` or `server`."
    )
    name: str
    what: What
    before: Any = Field(description="The whole definition; null when it is new.")
    after: Any = Field(description="The whole definition; null when it is gone.")


class ManifestChangeAnswer(Answer):
    """What one reading of the manifest found changed."""

    id: int
    at: datetime
    deployment: int = Field(
        description="Number of the deployment that was asked; compared with the one before if it was new."
    )
    changes: list[EntryChange]

    @classmethod
    def of(cls, item: ManifestChange) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            id=item.id,
            at=item.at,
            deployment=item.deployment,
            changes=[EntryChange(**change.as_dict()) for change in item.changes],
        )


class ManifestChangePage(Answer):
    """Some changes, newest first."""

    items: list[ManifestChangeAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


@routes.get(
    "/api/servers/{server}/manifest/changes",
    summary="List what changed in a server's manifest",
)
async def changes(request: web.Request, *, query: ChangesQuery) -> ManifestChangePage:
    """The newest 50 changes are kept, each with the whole definition from before and after."""
    found = await request.app[SERVERS].manifest_changes(
        principal_of(request),
        server_of(request),
        before=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return ManifestChangePage(
        items=[ManifestChangeAnswer.of(item) for item in shown],
        next_cursor=last.id if last else None,
    )
