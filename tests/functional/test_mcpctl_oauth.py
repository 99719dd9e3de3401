"""mcpctl oauth, as people and scripts run it."""

from pathlib import Path

import pytest

from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


@pytest.fixture
async def mine(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_a_machine_client_is_made_listed_exchanged_and_deleted(
    mine: Terminal,
) -> None:
    made = await mine.run(
        "oauth", "create-client", "nightly", "--scope", "mcp:call", "--json"
    )
    client_id, secret = made.json()["client_id"], made.json()["client_secret"]
    listed = await mine.run("oauth", "clients")
    exchanged = await mine.run("oauth", "rotate-secret", client_id, "--at-once")
    deleted = await mine.run("oauth", "delete-client", client_id)
    gone = await mine.run("oauth", "delete-client", client_id)

    assert (made.code, listed.code, exchanged.code, deleted.code) == (0, 0, 0, 0)
    assert client_id in listed.out
    assert secret not in listed.out
    assert exchanged.out.startswith("mcpo_")
    assert exchanged.out.strip() != secret
    assert gone.code != 0


async def test_an_app_is_made_with_the_addresses_that_it_sends_people_to(
    mine: Terminal,
) -> None:
    address = "https://app.example.org/callback"
    made = await mine.run(
        *("oauth", "create-client", "desk", "--redirect-uri", address, "--public")
    )
    listed = await mine.run("oauth", "clients", "--json")

    (app,) = listed.json()["items"]
    assert made.code == 0
    assert "client_secret" not in made.out
    assert (app["kind"], app["redirect_uris"]) == ("made", [address])


async def test_without_grants_the_list_is_empty_and_the_key_may_be_exchanged(
    mine: Terminal,
) -> None:
    grants = await mine.run("oauth", "grants", "--all")
    revoked = await mine.run("oauth", "revoke", "99")
    rotated = await mine.run("oauth", "rotate-key")

    assert (grants.code, rotated.code) == (0, 0)
    assert "signs from now on" in rotated.out
    assert "No client" in grants.out + grants.err
    assert revoked.code != 0
