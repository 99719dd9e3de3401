"""What people do with a server's source: bring its files, and let it into a private repository."""

from collections.abc import AsyncIterator

from pydantic import SecretStr

from appliance.accounts.access import require_may_create
from appliance.accounts.model import Principal
from appliance.infra.database import Database
from appliance.jobs.queue import cancel_running_in_lane, enqueue
from appliance.servers import store
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.deploys.model import Trigger
from appliance.servers.errors import NoArchiveError, NoCredentialError
from appliance.servers.model import DesiredState, Server, Status
from appliance.servers.quotas.standing import require_disk
from appliance.servers.service import (
    RECONCILE,
    ServerService,
    ServerView,
    lane_of,
)
from appliance.sources.credentials import CredentialView, checked_credential
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import ArchiveSource
from appliance.sources.uploads import Upload


class ServerSources:
    """Files and credentials of servers, on behalf of a principal; refusals are those of ``ServerService``."""

    def __init__(
        self, database: Database, servers: ServerService, keeper: SourceKeeper
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._servers = servers
        self._keeper = keeper

    async def upload(
        self, principal: Principal, filename: str, chunks: AsyncIterator[bytes]
    ) -> Upload:
        """Take an archive for a server that is to be created.

        Raises:
            InvalidError: It is no archive, or too large.
            UploadQuotaError: The principal brought too much already.
            DiskQuotaReachedError: Nothing more of theirs is kept.
        """
        owner_id = require_may_create(principal)
        await self._database.run(require_disk, owner_id)
        return await self._keeper.uploads.receive(owner_id, filename, chunks)

    async def replace_archive(
        self,
        principal: Principal,
        server: int | str,
        filename: str,
        chunks: AsyncIterator[bytes],
    ) -> ServerView:
        """Take a new archive for a server that is made of one, and redeploy it.

        Raises:
            NoArchiveError: It is made of something else.
            InvalidError: It is no archive, or too large.
        """
        found = await self._database.run(_made_of_archive, principal, server)
        await self._database.run(require_disk, found.builds_for)
        brought = await self._keeper.uploads.receive(found.owner_id, filename, chunks)

        def write() -> None:
            server_now = _made_of_archive(principal, found.id)
            changed = store.set_source(found.id, _with_file(server_now, brought.source))
            store.set_desired(found.id, DesiredState.RUNNING)
            store.add_deployment(
                changed, requested_by=principal.name, trigger=Trigger.SOURCE
            )
            store.set_status(found.id, Status.QUEUED)
            cancel_running_in_lane(lane_of(found.id))
            enqueue(RECONCILE, {"server_id": found.id}, lane=lane_of(found.id))
            digest = {"archive": brought.source.digest}
            record_write(principal, "server.archive", server_now, digest)

        await self._database.run(write)
        return await self._servers.get(principal, found.id)

    async def credential(
        self, principal: Principal, server: int | str
    ) -> CredentialView | None:
        """Return what may be shown of the server's credential; ``None``: it has none."""
        return await self._database.run(
            lambda: self._keeper.view(visible_server(principal, server).id)
        )

    async def set_credential(
        self,
        principal: Principal,
        server: int | str,
        *,
        token: SecretStr | None = None,
        user: str | None = None,
        deploy_key: SecretStr | None = None,
    ) -> CredentialView:
        """Set with what the server's repository is fetched from the next build on; the one before is forgotten.

        Raises:
            InvalidError: It does not fit the source, or is none.
        """

        def write() -> CredentialView | None:
            found = writable_server(principal, server)
            given = checked_credential(
                found.source, token=token, user=user, deploy_key=deploy_key
            )
            if given is None:
                raise NoCredentialError(
                    "Nothing was given.", hint="Give git_token or deploy_key."
                )
            self._keeper.put(found.id, given)
            kind = {"kind": given.kind.value}
            record_write(principal, "server.set_source_credential", found, kind)
            return self._keeper.view(found.id)

        stored = await self._database.run(write)
        if stored is None:
            raise _none_of(server)
        return stored

    async def remove_credential(self, principal: Principal, server: int | str) -> None:
        """Forget with what the server's repository is fetched.

        Raises:
            NoCredentialError: It has none.
        """

        def write() -> None:
            found = writable_server(principal, server)
            if not self._keeper.remove(found.id):
                raise _none_of(server)
            record_write(principal, "server.remove_source_credential", found)

        await self._database.run(write)


def _made_of_archive(principal: Principal, server: int | str) -> Server:
    found = writable_server(principal, server)
    if not isinstance(found.source, ArchiveSource):
        raise NoArchiveError(
            f"{found.name} is not made of an uploaded archive.",
            hint="Host another server from the archive.",
        )
    return found


def _with_file(server: Server, brought: ArchiveSource) -> ArchiveSource:
    inside = (
        server.source.subdirectory if isinstance(server.source, ArchiveSource) else ""
    )
    return ArchiveSource(brought.digest, brought.filename, inside)


def _none_of(server: int | str) -> NoCredentialError:
    return NoCredentialError(f"The source of server {server} has no credential.")
