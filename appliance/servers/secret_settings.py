"""What people do with a server's secrets: every change is written down, and has the server start anew with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from appliance.accounts.access import require_administer
from appliance.accounts.model import Principal
from appliance.core.errors import UnavailableError
from appliance.core.secret_names import looks_secret
from appliance.infra.database import Database
from appliance.observability.events import publish_in_transaction
from appliance.secrets import store as secret_store
from appliance.secrets.errors import SecretInvalidError, SecretNotFoundError
from appliance.secrets.model import (
    Delivery,
    MasterKeyState,
    Secret,
    SecretVersion,
)
from appliance.secrets.service import SecretService
from appliance.servers import store
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.config import config_as_dict
from appliance.servers.model import Server
from appliance.servers.redeploys import deploy_again
from appliance.sources.model import RemoteSource

__all__ = ["MasterKeyState", "Secret", "SecretVersion", "SecretsView", "ServerSecrets"]


@dataclass(frozen=True)
class SecretsView:
    """A server's secrets as people see them; never with values."""

    secrets: Sequence[Secret]
    #: What each was, by name, the newest first.
    versions: Mapping[str, Sequence[SecretVersion]]
    #: Where Vault is; empty: new values are kept here.
    vault: str
    #: Why values cannot be had just now; empty: they can.
    problem: str
    #: Environment variables that are secret by their names, and stand in the configuration in clear.
    in_clear: Sequence[str]


class ServerSecrets:
    """Sets, shows and removes secrets on behalf of a principal.

    Whoever may not know of a server gets ``ServerNotFoundError``; whoever may see but not change it ``NotAllowedError``.
    """

    def __init__(self, database: Database, secrets: SecretService) -> None:
        """Keep the collaborators."""
        self._database = database
        self._secrets = secrets

    async def view(self, principal: Principal, server: int | str) -> SecretsView:
        """Return a server's secrets, and whether their values can be had."""

        def read() -> tuple[Server, list[Secret], dict[str, list[SecretVersion]]]:
            found = visible_server(principal, server)
            secrets = secret_store.of_server(found.id)
            versions = {item.name: secret_store.versions(item.id) for item in secrets}
            return found, secrets, versions

        found, secrets, versions = await self._database.run(read)
        problem = ""
        try:
            await self._secrets.check()
        except UnavailableError as error:
            problem = error.reason
        vault = self._secrets.vault
        return SecretsView(
            secrets=secrets,
            versions=versions,
            vault=vault.address if vault else "",
            problem=problem,
            in_clear=sorted(filter(looks_secret, found.config.environment)),
        )

    async def history(
        self, principal: Principal, server: int | str, name: str
    ) -> list[SecretVersion]:
        """Return what a secret was, the newest first; never with values.

        Raises:
            SecretNotFoundError: There is none of that name.
        """

        def read() -> list[SecretVersion]:
            found = visible_server(principal, server)
            return secret_store.versions(secret_store.get(found.id, name).id)

        return await self._database.run(read)

    async def put(
        self,
        principal: Principal,
        server: int | str,
        name: str,
        *,
        value: SecretStr | None,
        delivery: Delivery | None = None,
        is_new: bool = False,
    ) -> Secret:
        """Set a secret, or change how it is delivered, and have the server start anew with it, without a build.

        Args:
            principal: Who wants it.
            server: Whose.
            name: Which.
            value: ``None``: it stays.
            delivery: ``None``: it stays; in the environment at first.
            is_new: Whether there must not be one of that name.

        Raises:
            SecretNotFoundError: There is none, and no value is given.
            SecretInvalidError: Name or value are not right, or the name is taken.
            SecretManagedError: Something else looks after it.
            VaultAwayError: Values are kept in Vault, which does not answer.
            DeployLockedError: The server is locked.
        """

        def look() -> tuple[Server, Secret | None]:
            found = writable_server(principal, server)
            _require_hosted(found)
            known = secret_store.find(found.id, name)
            if known is None and value is None:
                raise SecretNotFoundError(f"There is no secret named {name}.")
            if known is not None and is_new:
                raise SecretInvalidError.field(
                    "name", f"{name} is there already; set it anew instead"
                )
            secret_store.require_own(found.id, name, "")
            return found, known

        found, _ = await self._database.run(look)
        given = {} if value is None else {name: value}
        placed = await self._secrets.place(found.name, given, server_id=found.id)

        def write() -> Secret:
            found = writable_server(principal, server)
            told: dict[str, Any] = {"name": name}
            if name in placed:
                self._secrets.keeper.put(
                    found.id, name, placed[name], by=principal.name, delivery=delivery
                )
            elif delivery is not None:
                secret_store.require_own(found.id, name, "")
                secret_store.set_delivery(found.id, name, delivery, by=principal.name)
            secret = secret_store.get(found.id, name)
            told |= {"version": secret.version, "delivery": secret.delivery.value}
            _without_plain(found, [name])
            deploy_again(
                found.id, requested_by=principal.name, reason=f"{name} was set."
            )
            _tell(found)
            record_write(principal, "server.secret_set", found, told)
            return secret

        secret = await self._database.run(write)
        await self._secrets.refresh(found.id)
        return secret

    async def remove(self, principal: Principal, server: int | str, name: str) -> None:
        """Take a secret away, and have the server start anew without it.

        Raises:
            SecretNotFoundError: There is none of that name.
            SecretManagedError: Something else looks after it.
            DeployLockedError: The server is locked.
        """

        def write() -> tuple[int, set[str]]:
            found = writable_server(principal, server)
            kept = secret_store.current(found.id)
            self._secrets.keeper.remove(found.id, name)
            deploy_again(
                found.id, requested_by=principal.name, reason=f"{name} was removed."
            )
            _tell(found)
            record_write(principal, "server.secret_remove", found, {"name": name})
            places = {item.vault.path for item in kept if item.vault and item.place.name == name}  # fmt: skip
            return found.id, places

        server_id, paths = await self._database.run(write)
        await self._secrets.refresh(server_id)
        for path in paths:
            await self._secrets.forget_in_vault(path)

    async def move(
        self, principal: Principal, server: int | str, names: Sequence[str]
    ) -> list[Secret]:
        """Make secrets of environment variables; their values go from the configuration, also from that of old deployments.

        Raises:
            SecretInvalidError: A name is not that of a variable with a value.
            VaultAwayError: Values are kept in Vault, which does not answer.
            DeployLockedError: The server is locked.
        """
        found = await self._database.run(writable_server, principal, server)
        environment = found.config.environment
        if unknown := [name for name in names if not environment.get(name)]:
            raise SecretInvalidError.field(
                "names", f"the environment has no value for {', '.join(unknown)}"
            )
        given = {name: SecretStr(environment[name]) for name in names}
        placed = await self._secrets.place(found.name, given, server_id=found.id)

        def write() -> list[Secret]:
            found = writable_server(principal, server)
            for name, value in placed.items():
                self._secrets.keeper.put(found.id, name, value, by=principal.name)
            _without_plain(found, names)
            deploy_again(
                found.id,
                requested_by=principal.name,
                reason=f"{', '.join(names)} became secret.",
            )
            told = {"names": sorted(names)}
            _tell(found)
            record_write(principal, "server.secret_move", found, told)
            return [secret_store.get(found.id, name) for name in names]

        secrets = await self._database.run(write)
        await self._secrets.refresh(found.id)
        return secrets

    # -- the master key

    async def master_key(self, principal: Principal) -> MasterKeyState:
        """Return how the sealing of values stands.

        Raises:
            NotAllowedError: They are no administrator.
        """
        require_administer(principal)
        return await self._secrets.rotation.state()

    async def rotate_master_key(self, principal: Principal) -> MasterKeyState:
        """Make a new master key, and have all values brought under it by a job.

        Raises:
            NotAllowedError: They are no administrator.
        """
        require_administer(principal)
        return await self._secrets.rotation.begin(principal)


def _tell(server: Server) -> None:
    """Have open pages look again; not even a name is told."""
    publish_in_transaction("server.secrets", server.id)


def _require_hosted(server: Server) -> None:
    if isinstance(server.source, RemoteSource):
        raise SecretInvalidError.field(
            "value",
            f"{server.name} runs elsewhere and gets nothing from this box; give the secret to whoever runs it",
        )


def _without_plain(server: Server, names: Sequence[str]) -> None:
    """Take from the environment what is secret from now on: two values of one name, and one of them in clear, help nobody."""
    kept = {
        name: value
        for name, value in server.config.environment.items()
        if name not in names
    }
    if kept != server.config.environment:
        config = replace(server.config, environment=kept)
        store.set_config(server.id, config_as_dict(config))
        store.forget_environment(server.id, names)
