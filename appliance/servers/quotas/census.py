"""Measures now and then what everybody's things take: asking at every request would cost more than what is asked for."""

from collections.abc import Awaitable, Callable, Mapping

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.servers.quotas import store
from appliance.servers.quotas.model import DiskSizes
from appliance.sources.store import uploaded_by_everybody

#: Seconds between two measurements; the engine walks through all volumes for one.
EVERY_S = 600.0

#: Bytes by owner, or by server.
Sizes = Callable[[], Awaitable[Mapping[int, int]]]


class DiskCensus:
    """Adds up images, ``/data`` and uploads of every owner.

    Args:
        images: Bytes of images by whose builds they are.
        data: Bytes in ``/data`` by server.
    """

    def __init__(self, database: Database, *, images: Sizes, data: Sizes) -> None:
        """Keep the collaborators; nothing is measured yet."""
        self._database = database
        self._images = images
        self._data = data

    async def __call__(self) -> None:
        """Measure once."""
        images, data = await self._images(), await self._data()

        def write() -> None:
            by_server = store.owners_of_servers()
            kept: dict[int, int] = {}
            for server_id, size in data.items():
                # A server that was removed meanwhile is nobody's.
                if (owner := by_server.get(server_id)) is not None:
                    kept[owner] = kept.get(owner, 0) + size
            uploads = uploaded_by_everybody()
            measured = {
                owner: DiskSizes(images.get(owner, 0), kept.get(owner, 0), uploads.get(owner, 0))
                for owner in {*images, *kept, *uploads}
            }  # fmt: skip
            store.put_disk(measured, now())

        await self._database.run(write)
