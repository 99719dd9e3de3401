"""Who may do what with the accounts of remote servers; all runs inside ``database.run``."""

from appliance.accounts.access import may
from appliance.accounts.model import Action, Principal
from appliance.servers import store
from appliance.servers.access import visible_server, writable_server
from appliance.servers.model import Server
from appliance.servers.refresh import refresh_soon
from appliance.servers.service import reconcile_soon
from appliance.sources.model import RemoteSource
from appliance.upstreams.model import ServerFacts


class ServerStanding:
    """What the room of accounts at remote servers asks about servers."""

    def seen(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may know of.

        Raises:
            ServerNotFoundError: They may not, or there is none.
        """
        return _facts(visible_server(principal, server))

    def called(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may call.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
            NotAllowedError: They may see it, not call it.
        """
        return _facts(writable_server(principal, server, Action.CALL))

    def changed(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may change; raises as ``called``."""
        return _facts(writable_server(principal, server))

    def owned(self, principal: Principal, server: int | str) -> ServerFacts:
        """Return a server that the principal may even give away, as owners may; raises as ``called``."""
        return _facts(writable_server(principal, server, Action.TRANSFER))

    def may(self, principal: Principal, server: ServerFacts) -> tuple[bool, bool]:
        """Return whether the principal may call, and whether they may change it."""
        found = store.find_by_id(server.id)
        if found is None:
            return False, False
        thing = found.thing
        return may(principal, Action.CALL, thing), may(principal, Action.CHANGE, thing)

    def facts(self, server_id: int) -> ServerFacts | None:
        """Return a server, whoever asks."""
        found = store.find_by_id(server_id)
        return None if found is None else _facts(found)

    def touched(self, server_id: int) -> None:
        """Have its status told anew, and what it offers read, where that can be read now."""
        reconcile_soon(server_id)
        refresh_soon(server_id)


def _facts(server: Server) -> ServerFacts:
    source = server.source
    return ServerFacts(
        id=server.id,
        name=server.name,
        owner_id=server.owner_id,
        org_id=server.org_id,
        address=source.url if isinstance(source, RemoteSource) else "",
    )
