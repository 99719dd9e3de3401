"""Puts the room together, as the settings say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from appliance.infra.database import Database
from appliance.infra.memory_files import MemoryFiles, memory_root
from appliance.runtimes.ports import Executor
from appliance.secrets.keeping import SecretKeeper
from appliance.secrets.master import MasterKeys
from appliance.secrets.rotation import MasterKeyRotation
from appliance.secrets.service import SecretService
from appliance.secrets.vault import Vault, VaultAccess
from appliance.settings import Settings

#: Seconds between looks at what is of no container any more.
SWEEP_EVERY_S = 3600.0


def memory_files(settings: Settings) -> MemoryFiles:
    """Return where values lie in memory. Blocking."""
    return MemoryFiles(memory_root(settings.run_dir, settings.secrets_delivery_dir))


def make_secrets(
    database: Database,
    settings: Settings,
    files: MemoryFiles,
    session: aiohttp.ClientSession,
) -> SecretService:
    """Return the service; nothing is read yet."""
    keys = MasterKeys(settings.master_key_file)
    access = VaultAccess.of(settings)
    return SecretService(
        database,
        SecretKeeper(keys),
        MasterKeyRotation(database, keys),
        files=files,
        vault=Vault(access, session) if access else None,
    )


@contextlib.asynccontextmanager
async def kept_up(secrets: SecretService) -> AsyncIterator[None]:
    """Keep the way into Vault open meanwhile."""
    if secrets.vault is None:
        yield
        return
    renewing = asyncio.create_task(secrets.vault.keep_renewed(), name="vault-token")
    try:
        yield
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing


async def sweep(secrets: SecretService, executor: Executor) -> None:
    """Remove from memory what is of no container, and of no server, any more.

    Raises:
        EngineUnavailableError: Which containers there are is not known.
    """
    await secrets.sweep_files(item.name for item in await executor.instances())
