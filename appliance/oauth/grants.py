"""What people granted, and how it ends."""

from datetime import timedelta

from appliance.accounts.model import SYSTEM, Principal
from appliance.accounts.persons import person_of
from appliance.core.clock import now
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.oauth import client_store, grant_store
from appliance.oauth.errors import GrantNotFoundError
from appliance.oauth.model import Client, Connection
from appliance.observability import audit

#: What ended is kept so long, so that its second use is noticed and gateways have heard of it.
KEPT = timedelta(days=1)


class Grants:
    """Shows grants, and ends them.

    Args:
        refresh_lasts: How long a grant may rest before it is forgotten.
    """

    def __init__(self, database: Database, *, refresh_lasts: timedelta) -> None:
        """Keep the parts."""
        self._database = database
        self._refresh_lasts = refresh_lasts

    async def list(
        self, principal: Principal, *, everybody: bool = False
    ) -> list[Connection]:
        """Return what the principal granted and did not take back, used last first.

        Args:
            principal: Who asks.
            everybody: For administrators: what anybody granted.
        """
        user_id = None if everybody and principal.is_admin else person_of(principal)
        return await self._database.run(grant_store.connections, user_id)

    async def revoke(self, principal: Principal, grant_id: int) -> None:
        """Take back what the principal granted; administrators take back anybody's. Tokens are refused within two seconds.

        Raises:
            GrantNotFoundError: They granted nothing of this number.
        """

        def write() -> None:
            grant = grant_store.grant(grant_id)
            is_theirs = grant is not None and (
                principal.is_admin or grant.user_id == principal.user_id
            )
            if grant is None or not is_theirs or grant.revoked_at is not None:
                raise GrantNotFoundError(f"There is no grant {grant_id} of yours.")
            grant_store.revoke(grant_id, f"by {principal.name}")
            client = client_store.find(grant.client_id)
            _audit(principal, grant_id, client)

        await self._database.run(write)

    async def revoke_token(self, client: Client, token: str) -> None:
        """End the grant that a refresh token belongs to (RFC 7009); one that is not the client's is left alone.

        An access token cannot be taken back alone: it ends within minutes, and with its grant.
        """

        def write() -> None:
            found = grant_store.refresh_token(key_hash(token))
            grant = grant_store.grant(found.grant_id) if found else None
            if grant is None or grant.client_id != client.client_id:
                return
            if grant_store.revoke(grant.id, "by the client"):
                _audit(SYSTEM, grant.id, client, by_client=True)

        await self._database.run(write)

    async def prune(self) -> None:
        """Forget what can do nothing any more, and clients that nobody uses."""

        def write() -> None:
            ended = now() - KEPT
            grant_store.prune(
                ended_before=ended, unused_before=now() - self._refresh_lasts - KEPT
            )
            client_store.prune(unused_before=ended)
            client_store.prune_assertions()

        await self._database.run(write)


def _audit(
    actor: audit.Actor,
    grant_id: int,
    client: Client | None,
    *,
    by_client: bool = False,
) -> None:
    audit.record(
        actor,
        "oauth.revoke",
        object_type="oauth_grant",
        object_id=grant_id,
        object_name=client.name if client else "",
        details={"by": "the client"} if by_client else None,
    )
