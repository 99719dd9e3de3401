"""Somebody, and a server of hers that nobody ever started."""

from appliance.accounts.model import User
from appliance.accounts.service import AccountService
from appliance.infra.database import Database
from appliance.servers import store
from appliance.servers.model import NewServer, Server
from appliance.sources.model import Ecosystem, PackageSource
from tests.harness.passwords import cheap_passwords


async def ada(database: Database) -> User:
    """Return the first person of an installation."""
    accounts = AccountService(database, b"s" * 32, passwords=cheap_passwords())
    user = await accounts.register("ada@example.org", "a long enough password")
    accounts.close()
    return user


def add_server(owner_id: int, name: str = "clock") -> Server:
    """Add a server; within ``database.run``."""
    return store.add(
        NewServer(PackageSource(Ecosystem.PYPI, "x"), name=name),
        name=name,
        owner_id=owner_id,
        key_hash=name.encode().ljust(32),
        key_prefix="k",
    )
