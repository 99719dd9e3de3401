"""What belongs to a source beside its description: the file that was brought, and the way into a private repository."""

from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.settings import Settings
from appliance.sources import store
from appliance.sources.credentials import (
    Credential,
    CredentialView,
    unpacked,
)
from appliance.sources.errors import UploadUnknownError
from appliance.sources.model import ArchiveSource, Source
from appliance.sources.uploads import Uploads


class SourceKeeper:
    """Keeps files and credentials of sources; the credentials sealed, and opened for a fetch alone."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Keep the parts."""
        self._database = database
        self._sealer = Sealer(*settings.jwt_secrets)
        self.uploads = Uploads(database, settings)

    def check(self, source: Source, *, owner_id: int) -> None:
        """Refuse an archive that the owner did not bring; runs inside ``database.run``.

        Raises:
            UploadUnknownError: They did not, or it was removed.
        """
        if isinstance(source, ArchiveSource) and not (
            store.has_upload(owner_id, source.digest)
            and self.uploads.path(source.digest).is_file()
        ):
            raise UploadUnknownError.field(
                "source.archive",
                "you brought no archive of this digest; upload it first",
            )

    def put(self, server_id: int, credential: Credential) -> None:
        """Set a server's credential; runs inside ``database.run``."""
        sealed = self._sealer.seal(credential.packed(), _purpose(server_id))
        store.put_credential(server_id, credential, sealed)

    def remove(self, server_id: int) -> bool:
        """Forget a server's credential; return whether there was one. Runs inside ``database.run``."""
        return store.remove_credential(server_id)

    def view(self, server_id: int) -> CredentialView | None:
        """Return what may be shown of a server's credential; runs inside ``database.run``."""
        return store.credential(server_id)

    async def reveal(self, server_id: int) -> tuple[Credential, str] | None:
        """Return a server's credential and the host keys that it is bound to, for one fetch.

        Raises:
            UnsealError: It cannot be opened.
        """
        found = await self._database.run(store.sealed_credential, server_id)
        if found is None:
            return None
        kind, sealed, known_hosts = found
        opened = self._sealer.unseal(sealed, _purpose(server_id))
        return unpacked(kind, opened), known_hosts

    async def pin(self, server_id: int, known_hosts: str) -> None:
        """Accept only these host keys from now on, unless others are pinned already."""
        await self._database.run(store.set_known_hosts, server_id, known_hosts)


def _purpose(server_id: int) -> str:
    return f"source credential:{server_id}"
