"""Secrets for whoever starts servers, and for whoever passes on what they print."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from weakref import WeakValueDictionary

import structlog
from pydantic import SecretStr

from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.core.known_values import KnownValues, hide_everything, in_all
from appliance.infra.database import Database
from appliance.infra.memory_files import MemoryFiles
from appliance.runtimes.model import SecretValue
from appliance.secrets import store
from appliance.secrets.errors import MasterKeyError, VaultAwayError
from appliance.secrets.hiding import hidden_of
from appliance.secrets.keeping import SecretKeeper
from appliance.secrets.model import Delivery, Keeper, VaultPlace
from appliance.secrets.naming import check_name, check_value
from appliance.secrets.rotation import MasterKeyRotation
from appliance.secrets.store import Kept
from appliance.secrets.vault import Vault

log = structlog.get_logger("secrets")

#: A value that is used no more is known so long still: what was printed while it was is hidden.
REMEMBERED_FOR = timedelta(days=1)


class Redactor:
    """Hides the values of one server's secrets; follows when they change."""

    def __init__(self) -> None:
        """Hide everything until it is known what."""
        self.hide: Callable[[str], str] = hide_everything

    def __call__(self, text: str) -> str:
        """Return ``text`` without the values."""
        return self.hide(text)


class SecretService:
    """Gets values out, and has them hidden.

    Args:
        keeper: Opens what is kept here.
        vault: ``None``: all is kept here.
        files: Where values lie in memory for containers, and for the gateway, which hides them too.
    """

    def __init__(
        self,
        database: Database,
        keeper: SecretKeeper,
        rotation: MasterKeyRotation,
        *,
        files: MemoryFiles,
        vault: Vault | None = None,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self.keeper = keeper
        self.rotation = rotation
        self.vault = vault
        self._files = files
        #: What Vault gave, by place; every version is written once.
        self._fetched: dict[VaultPlace, str] = {}
        self._redactors: WeakValueDictionary[int, Redactor] = WeakValueDictionary()

    # -- for those who start servers

    async def of_instance(self, server_id: int) -> tuple[SecretValue, ...]:
        """Return what an instance of the server gets, and have it hidden from now on.

        Raises:
            VaultAwayError: Values are in Vault, which does not answer.
            VaultValueMissingError: Vault does not have one of them.
            MasterKeyError: The key that one is sealed under is not to be had.
            NoMemoryError: There are secrets, and no memory for them.
        """
        kept = await self._database.run(store.current, server_id)
        values = await asyncio.gather(*(self._open(item, fresh=True) for item in kept))
        before = await asyncio.to_thread(self._files.remembered, server_id)
        if kept or before:
            await self.refresh(server_id)
        return tuple(
            SecretValue(
                item.place.name, SecretStr(value), item.delivery is Delivery.ENV
            )
            for item, value in zip(kept, values, strict=True)
        )

    async def _open(self, kept: Kept, *, fresh: bool = False) -> str:
        """Return a value; ``fresh``: Vault is asked although it said it before."""
        if kept.vault is None:
            return await self._database.run(self.keeper.open, kept)
        if fresh or kept.vault not in self._fetched:
            if self.vault is None:
                raise VaultAwayError(
                    f"{kept.place.name} is kept in Vault, and VAULT_ADDR is not set.",
                    hint="Set VAULT_ADDR and VAULT_TOKEN, or set the secret anew.",
                )
            self._fetched[kept.vault] = await self.vault.read(kept.vault)
        return self._fetched[kept.vault]

    # -- for those who set them

    async def place(
        self,
        server_name: str,
        values: Mapping[str, SecretStr],
        *,
        server_id: int | None = None,
    ) -> dict[str, str | VaultPlace]:
        """Return what ``keeper.put`` takes for these values: themselves, or where in Vault they were put.

        What is put into Vault before a transaction that fails is referred to by nothing.

        Args:
            server_name: Whose they are.
            values: By name.
            server_id: ``None``: the server is not there yet.

        Raises:
            SecretInvalidError: A name or a value is not right.
            VaultAwayError: Vault does not answer.
        """
        plain = {name: value.get_secret_value() for name, value in values.items()}
        for name, value in plain.items():
            check_name(name)
            check_value(value)
        if self.vault is None or not plain:
            return dict(plain)
        before = await self._vault_paths(server_id)
        found: dict[str, str | VaultPlace] = {}
        for name, value in plain.items():
            path = before.get(name) or self.vault.new_path(server_name, name)
            place = await self.vault.write(path, value)
            self._fetched[place] = value
            found[name] = place
        return found

    async def _vault_paths(self, server_id: int | None) -> dict[str, str]:
        if server_id is None:
            return {}
        kept = await self._database.run(store.current, server_id)
        return {item.place.name: item.vault.path for item in kept if item.vault}

    async def forget_server(self, server_id: int) -> None:
        """Remove from Vault what a server that is deleted had there, as far as Vault answers."""
        kept = await self._database.run(store.remembered, server_id)
        for path in {item.vault.path for item in kept if item.vault}:
            await self.forget_in_vault(path)

    # -- for those who show what servers print

    async def redactor(self, server_id: int) -> Redactor:
        """Return what hides the values of a server's secrets, former ones of a day among them.

        It follows later changes by itself. Where values are not to be had, it hides everything.

        Raises:
            DatabaseUnavailableError: Postgres does not answer.
        """
        found = self._redactors.get(server_id)
        if found is None:
            found = Redactor()
            await self._load(server_id, found)
            self._redactors[server_id] = found
        return found

    async def clean(
        self, server_id: int, said: Mapping[str, object]
    ) -> dict[str, object]:
        """Return what a server said of itself without the values of its secrets.

        Raises:
            VaultAwayError: They are not to be had.
        """
        hide = await self.redactor(server_id)
        if hide.hide is hide_everything:
            raise VaultAwayError(
                "The values of the server's secrets are not to be had, so what it says cannot be kept."
            )
        return {name: in_all(value, hide) for name, value in said.items()}

    async def refresh(self, server_id: int) -> None:
        """Have hidden what is secret now; called after every change.

        Raises:
            NoMemoryError: There are secrets, and no memory for them.
        """
        values = await self._known(server_id)
        if values is not None:
            await asyncio.to_thread(self._files.remember, server_id, sorted(values))
        found = self._redactors.get(server_id)
        if found is not None:
            await self._load(server_id, found)

    async def _load(self, server_id: int, redactor: Redactor) -> None:
        values = await self._known(server_id)
        redactor.hide = hide_everything if values is None else KnownValues(values)

    async def _known(self, server_id: int) -> set[str] | None:
        """Return all values that a server may print; ``None``: they are not to be had."""
        kept = await self._database.run(store.remembered, server_id)
        before = await asyncio.to_thread(self._files.remembered, server_id)
        found: set[str] = set()
        for item in kept:
            if item.sealed is None and item.vault is None:
                continue
            try:
                value = await self._open(item)
                found |= hidden_of(item.place.name, value, managed_by=item.managed_by)
            except DomainError as error:
                # What runs was given what lies in memory, and nothing else.
                if before is None:
                    log.warning("secret_not_known", reason=error.reason)
                    return None
                found.update(before)
        return found

    # -- upkeep

    async def prune(self) -> None:
        """Forget values that ended a day ago, and files of servers that are gone."""
        before = now() - REMEMBERED_FOR
        if await self._database.run(store.forget_values, ended_before=before):
            for server_id in await self._database.run(store.server_ids):
                await self.refresh(server_id)
        await self.rotation.sweep()

    async def sweep_files(self, names: Iterable[str]) -> None:
        """Remove from memory what is of no container among ``names``, and of no server."""
        server_ids = await self._database.run(store.server_ids)
        await asyncio.to_thread(
            self._files.sweep, names=set(names), server_ids=server_ids
        )

    async def check(self) -> str:
        """Return in words how secrets are kept.

        Raises:
            MasterKeyError: Values are sealed under a key that is not to be had.
            VaultAwayError: Vault does not answer.
        """
        counts = await self._database.run(store.count_kept)
        local, away = counts.get(Keeper.LOCAL, 0), counts.get(Keeper.VAULT, 0)
        if self.vault is None and not local + away:
            return "No server has secrets."
        told = [f"{local} kept here, {away} in Vault."]
        if local:
            state = await self.rotation.state()
            if state.missing:
                raise MasterKeyError(
                    f"Values are sealed under {', '.join(state.missing)}, which the key file does not have.",
                    hint="Restore the master key file.",
                )
        if self.vault is not None:
            told.append(await self.vault.check())
        return " ".join(told)

    async def forget_in_vault(self, path: str) -> None:
        """Remove a secret from Vault, as far as Vault is there; it is of no use to anybody any more."""
        if self.vault is not None:
            try:
                await self.vault.remove(path)
            except VaultAwayError as error:
                log.warning("vault_value_left", path=path, reason=error.reason)
