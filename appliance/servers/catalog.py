"""What discovery shows of the hosted servers, and to whom."""

from dataclasses import dataclass
from datetime import datetime

from appliance.accounts.access import Sight, sight
from appliance.accounts.model import Principal
from appliance.core.cards import Listing, Site
from appliance.domains.service import DomainService
from appliance.infra.database import Database
from appliance.servers import store
from appliance.servers.errors import ServerNotFoundError


@dataclass(frozen=True)
class Published:
    """One server that may be shown, as it is live."""

    listing: Listing
    published_at: datetime
    updated_at: datetime


class Catalog:
    """Lists servers that are wanted running and have answered once.

    A stranger sees those that are listed; somebody known sees as well those that they may know of anyway.

    Args:
        site: The box's own place.
        domains: Names of their own for servers.
    """

    def __init__(
        self, database: Database, site: Site, domains: DomainService | None = None
    ) -> None:
        """Keep them."""
        self._domains = domains
        self._database = database
        self.site = site

    async def page(
        self,
        viewer: Principal | None,
        *,
        query: str = "",
        after: str = "",
        limit: int = 100,
        since: datetime | None = None,
    ) -> list[Published]:
        """Return up to ``limit`` servers by name, from the first name after ``after``.

        Args:
            viewer: Who asks; ``None``: a stranger.
            query: Part of the full name, any case; empty: all.
            after: A server's name, without the namespace.
            limit: At most so many.
            since: Only what changed then or later.
        """

        def read() -> list[Published]:
            found = store.published(
                sight=sight(viewer) if viewer else Sight(),
                query=query,
                prefix=f"{self.site.namespace}/",
                after=after,
                limit=limit,
                since=since,
            )
            names = [name for name, *_ in found]
            urls = self._domains.urls_of(names) if self._domains else {}
            return [
                Published(
                    Listing(name, about, url=urls.get(name, "")),
                    created,
                    went_live or created,
                )
                for name, created, went_live, about in found
            ]

        return await self._database.run(read)

    async def get(self, viewer: Principal | None, full_name: str) -> Published:
        """Return one server by its full name, ``org.example.mcp/clock``.

        Raises:
            ServerNotFoundError: There is none, or the viewer may not know of it.
        """
        namespace, _, name = full_name.rpartition("/")
        found = await self.page(viewer, query=full_name)
        for item in found:
            if item.listing.name == name and namespace == self.site.namespace:
                return item
        raise ServerNotFoundError(f"There is no server {full_name}.")
