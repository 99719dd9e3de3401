"""Secrets in Vault, which a stand-in plays: paths here, values there, and what happens while it is away."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from appliance.infra.database import Database
from appliance.secrets import store
from appliance.secrets.errors import VaultAwayError, VaultValueMissingError
from appliance.secrets.model import Keeper, VaultPlace
from appliance.secrets.service import SecretService
from appliance.secrets.vault import Vault, VaultAccess
from appliance.settings import SettingsError, load_settings
from tests.fakes.vault_stand_in import ROLE, SECRET_ID, VaultStandIn
from tests.functional.builds.conftest import add_deployment
from tests.harness.secrets import secrets_in

CANARY = "canary-5e1f-value"


@pytest.fixture
async def stand_in() -> AsyncIterator[tuple[VaultStandIn, str]]:
    vault = VaultStandIn(tokens={"root": None})
    async with TestServer(vault.application()) as server:
        yield vault, str(server.make_url("")).rstrip("/")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def secrets(
    stand_in: tuple[VaultStandIn, str],
    session: aiohttp.ClientSession,
    database: Database,
    tmp_path: Path,
) -> SecretService:
    access = VaultAccess(stand_in[1], token=SecretStr("root"))
    return secrets_in(tmp_path, database, Vault(access, session))


async def put(secrets: SecretService, database: Database, value: str) -> int:
    """Set a secret of a server that is made if it is not there; return the server's number."""

    def server() -> int:
        row = database.peewee.execute_sql("SELECT id FROM servers").fetchone()
        return int(row[0]) if row else add_deployment(database, "one").server_id

    server_id = await database.run(server)
    values = {"API_KEY": SecretStr(value)}
    placed = await secrets.place("one", values, server_id=server_id)
    await database.run(
        lambda: secrets.keeper.put(server_id, "API_KEY", placed["API_KEY"], by="ada")
    )
    return server_id


async def test_the_database_keeps_the_path_and_vault_the_value(
    secrets: SecretService, database: Database, stand_in: tuple[VaultStandIn, str]
) -> None:
    server_id = await put(secrets, database, CANARY)
    await put(secrets, database, "another-value")

    (secret,) = await database.run(store.of_server, server_id)
    (value,) = await secrets.of_instance(server_id)
    rows = await database.run(
        lambda: database.peewee.execute_sql(
            "SELECT vault_path, vault_version, value, key_id FROM secret_versions ORDER BY version"
        ).fetchall()
    )
    assert secret.keeper is Keeper.VAULT
    assert value.value.get_secret_value() == "another-value"
    (path,) = stand_in[0].values
    assert path.startswith("mcp-host/one/API_KEY-")
    assert rows == [(path, 1, None, None), (path, 2, None, None)]
    # What ran with the first value is hidden, too.
    hide = await secrets.redactor(server_id)
    assert hide(f"{CANARY} another-value") == "[redacted] [redacted]"


async def test_while_vault_is_away_starts_fail_and_what_runs_stays_hidden(
    secrets: SecretService, database: Database, stand_in: tuple[VaultStandIn, str]
) -> None:
    server_id = await put(secrets, database, CANARY)
    await secrets.of_instance(server_id)
    stand_in[0].is_sealed = True

    with pytest.raises(VaultAwayError, match="it is sealed"):
        await secrets.of_instance(server_id)
    with pytest.raises(VaultAwayError):
        await secrets.check()
    with pytest.raises(VaultAwayError):
        await put(secrets, database, "a-third-value")
    # A hub that was restarted meanwhile knows from memory what it gave.
    again = secrets_in(secrets._files._root.parent, database, secrets.vault)  # type: ignore[union-attr]
    hide = await again.redactor(server_id)
    assert hide(f"is {CANARY}") == "is [redacted]"

    stand_in[0].is_sealed = False
    (value,) = await secrets.of_instance(server_id)
    assert value.value.get_secret_value() == CANARY


async def test_without_vault_and_without_memory_everything_is_hidden(
    secrets: SecretService,
    database: Database,
    stand_in: tuple[VaultStandIn, str],
    tmp_path: Path,
) -> None:
    server_id = await put(secrets, database, CANARY)
    stand_in[0].is_sealed = True
    again = secrets_in(tmp_path / "elsewhere", database, secrets.vault)

    hide = await again.redactor(server_id)

    assert hide("harmless") == "[redacted]"


async def test_a_value_that_vault_lost_is_named(
    secrets: SecretService, database: Database, stand_in: tuple[VaultStandIn, str]
) -> None:
    server_id = await put(secrets, database, CANARY)
    stand_in[0].values.clear()

    with pytest.raises(VaultValueMissingError, match="API_KEY"):
        await secrets.of_instance(server_id)


async def test_a_server_that_is_deleted_leaves_nothing_in_vault(
    secrets: SecretService, database: Database, stand_in: tuple[VaultStandIn, str]
) -> None:
    server_id = await put(secrets, database, CANARY)

    await secrets.forget_server(server_id)

    assert stand_in[0].values == {}


async def test_a_role_logs_in_once_and_again_when_its_token_is_refused(
    stand_in: tuple[VaultStandIn, str], session: aiohttp.ClientSession
) -> None:
    standing, url = stand_in
    access = VaultAccess(url, role_id=ROLE, secret_id=SecretStr(SECRET_ID))
    vault = Vault(access, session)

    place = await vault.write("mcp-host/one/A", CANARY)
    assert await vault.read(place) == CANARY
    assert standing.logins == 1

    standing.tokens.clear()
    assert await vault.read(place) == CANARY
    assert standing.logins == 2


async def test_a_token_is_renewed_before_its_end(
    stand_in: tuple[VaultStandIn, str], session: aiohttp.ClientSession
) -> None:
    standing, url = stand_in
    standing.life_s = 10
    access = VaultAccess(url, role_id=ROLE, secret_id=SecretStr(SECRET_ID))
    vault = Vault(access, session)
    await vault.write("mcp-host/one/A", CANARY)

    await vault._renew_if_due()
    assert (standing.logins, standing.renewals) == (1, 1)
    assert "renewed" in await vault.check()

    # One with most of its life before it is left as it is.
    standing.life_s = 3600
    await vault._renew_if_due()
    renewals = standing.renewals
    await vault._renew_if_due()
    assert standing.renewals == renewals


async def test_a_wrong_token_and_a_silent_address_are_told_apart(
    stand_in: tuple[VaultStandIn, str], session: aiohttp.ClientSession
) -> None:
    refused = Vault(VaultAccess(stand_in[1], token=SecretStr("wrong")), session)
    silent = Vault(VaultAccess("http://127.0.0.1:9", token=SecretStr("t")), session)

    with pytest.raises(VaultAwayError, match="refuses our token"):
        await refused.read(VaultPlace("a", 1))
    with pytest.raises(VaultAwayError, match="is away"):
        await silent.read(VaultPlace("a", 1))


def test_an_address_without_a_way_in_is_refused() -> None:
    with pytest.raises(SettingsError, match="VAULT_TOKEN"):
        load_settings(jwt_secret="s" * 32, vault_addr="http://127.0.0.1:8200")
