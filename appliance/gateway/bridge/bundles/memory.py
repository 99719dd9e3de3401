"""What members listed last, so that nothing vanishes from a list while one of them is away."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
import psycopg2
import structlog
from msgspec import Raw

from appliance.gateway.bridge.bundles.items import Item, Kind, clean
from appliance.gateway.protocol import wire
from appliance.infra.connections import DatabaseUnavailableError, connect

log = structlog.get_logger("gateway.bundles")

#: Lists that are kept; beyond it the one that nobody asked for longest is forgotten.
LISTS_LIMIT = 2_000
_MANIFEST = "SELECT manifest FROM gateway_manifests WHERE server_id = %s"

#: Returns what a server said of itself when it was last made live, by its number; empty if that is not known. Blocking.
Manifests = Callable[[int], Mapping[str, Any]]


class Memory:
    """Keeps the last good lists, each for the principal that it was made for: nobody sees what another's session was told."""

    def __init__(self, manifests: Manifests) -> None:
        """Remember nothing yet."""
        self._manifests = manifests
        self._lists: OrderedDict[tuple[str, int, str], list[tuple[str, Item]]] = (
            OrderedDict()
        )

    def keep(
        self, principal: str, server_id: int, kind: Kind, listed: list[tuple[str, Item]]
    ) -> None:
        """Remember a good list."""
        key = (principal, server_id, kind.method)
        self._lists[key] = listed
        self._lists.move_to_end(key)
        if len(self._lists) > LISTS_LIMIT:
            self._lists.popitem(last=False)

    def known(
        self, principal: str, server_id: int, kind: Kind
    ) -> list[tuple[str, Item]] | None:
        """Return the last good list, if one is remembered."""
        return self._lists.get((principal, server_id, kind.method))

    async def recall(
        self,
        principal: str,
        server_id: int,
        kind: Kind,
        shown: Callable[[list[Raw]], Sequence[Raw]] = list,
    ) -> list[tuple[str, Item]]:
        """Return the last good list, or what the hub's probe wrote down, of which everybody may see what ``shown`` returns."""
        found = self.known(principal, server_id, kind)
        if found is not None:
            return found
        manifest = await asyncio.to_thread(self._manifests, server_id)
        entries = manifest.get(kind.key)
        if not isinstance(entries, list):
            return []
        return list(clean(kind, shown([Raw(wire.encode(entry)) for entry in entries])))


def stored_manifests(arguments: dict[str, str]) -> Manifests:
    """Return what reads manifests from the database; while that is away nothing is known.

    Args:
        arguments: libpq keywords.
    """

    def read(server_id: int) -> Mapping[str, Any]:
        try:
            with (
                closing(connect(arguments)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(_MANIFEST, (server_id,))
                row = cursor.fetchone()
        except (DatabaseUnavailableError, psycopg2.Error, msgspec.DecodeError) as error:
            log.warning(
                "manifest_not_read", server_id=server_id, error=str(error).strip()
            )
            return {}
        return row[0] if row and isinstance(row[0], dict) else {}

    return read
