"""Giving a server to somebody else: from a person to an organisation, and back."""

from appliance.accounts.access import Kind
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs.model import Owner, Transferred
from appliance.accounts.orgs.ownership import (
    owner_of,
    recipient,
    record_transfer,
    require_room,
)
from appliance.artifacts import store as artifacts
from appliance.evaluations import store as evaluations
from appliance.infra.database import Database
from appliance.observability.events import publish_in_transaction
from appliance.servers import store
from appliance.servers.access import writable_server


class ServerTransfers:
    """Transfers servers on behalf of a principal; transferring back undoes it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def transfer(
        self,
        principal: Principal,
        server: int | str,
        *,
        org: int | str | None = None,
        email: str = "",
    ) -> Transferred:
        """Give a server, with its history and what was built for it, to somebody else; it goes on running.

        Its endpoint key, secrets, files and webhook go with it.

        Args:
            principal: Who gives it.
            server: Which.
            org: To this organisation.
            email: To this person; empty, and no organisation: to the principal.

        Raises:
            ServerNotFoundError: They may not know of it, or there is none.
            NotAllowedError: They may not give it away, or not bring servers there.
            InvalidError: There is no such organisation or person.
            QuotaReachedError: No more servers may belong to whom it is given to.
        """

        def write() -> Transferred:
            found = writable_server(principal, server, Action.TRANSFER)
            after = recipient(principal, Kind.SERVER, org=org, email=email)
            before = owner_of(found.owner_id, found.org_id)
            if _is_same(before, after):
                return Transferred(before, after)
            require_room(after, store.count(after))
            # Who brought it to the box stays known while it is an organisation's.
            owner_id = after.user_id if after.org_id is None else found.owner_id
            store.give(found.id, owner_id=owner_id, org_id=after.org_id)
            artifacts.give(found.id, owner_id=owner_id, org_id=after.org_id)
            evaluations.give(found.id, owner_id=owner_id, org_id=after.org_id)
            publish_in_transaction("server.transferred", found.id)
            record_transfer(
                principal,
                Kind.SERVER,
                found.id,
                found.name,
                before=before,
                after=after,
            )
            return Transferred(before, after)

        return await self._database.run(write)


def _is_same(before: Owner, after: Owner) -> bool:
    if before.org_id is not None or after.org_id is not None:
        return before.org_id == after.org_id
    return before.user_id == after.user_id
