"""The room of secrets, in a directory of a test's own."""

from pathlib import Path

from appliance.infra.database import Database
from appliance.infra.memory_files import MemoryFiles
from appliance.secrets.keeping import SecretKeeper
from appliance.secrets.master import MasterKeys
from appliance.secrets.rotation import MasterKeyRotation
from appliance.secrets.service import SecretService
from appliance.secrets.vault import Vault


def secrets_in(
    directory: Path, database: Database, vault: Vault | None = None
) -> SecretService:
    """Return a service whose keys and files lie in ``directory``."""
    keys = MasterKeys(directory / "secrets" / "master-keys.json")
    return SecretService(
        database,
        SecretKeeper(keys),
        MasterKeyRotation(database, keys),
        files=MemoryFiles(directory / "memory"),
        vault=vault,
    )
