"""A server's Dockerfile over REST, on its page and in mcpctl: shown, taken over, given back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.builds import store as builds
from appliance.builds.model import BuildRequest
from appliance.infra.database import Database
from appliance.servers import store
from appliance.sources.spec import parse_source
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness.pages import Hub as Site
from tests.harness.pages import hub as site_hub

Client = TestClient[Any, Any]
OWN = 'FROM mcp-host/base\nUSER 10001\nENTRYPOINT ["/opt/mcp/entry"]\n'
PATH = "/api/servers/clock/dockerfile"
REPOSITORY = {"name": "clock", "repo_url": "https://example.org/o/clock.git"}


async def _host(client: Client, **source: str) -> int:
    source = source or {"name": "clock", "package": "pypi:mcp-server-time"}
    made = await client.post("/api/servers", json=source)
    assert made.status == 201, await made.text()
    return int((await made.json())["server"]["id"])


async def _built(database: Database, name: str, text: str, base: str | None) -> None:
    """Say by what the server's newest deployment was built."""

    def write() -> None:
        server = store.find(name)
        assert server
        deployment = store.deployment_in(server.id)
        assert deployment
        request = BuildRequest(deployment.id, server.id, name, server.source)
        begun = builds.begin(request)
        builds.set_recipe(begun.view.id, dockerfile=text, base_image=base)

    await database.run(write)


async def _shown(client: Client) -> dict[str, Any]:
    return dict(await (await client.get(PATH)).json())


# -- REST


async def test_a_packages_dockerfile_is_known_before_it_is_built(admin: Client) -> None:
    await _host(admin)

    found = await _shown(admin)

    assert found["origin"] == "generated"
    assert found["dockerfile"].startswith("FROM mcp-host/base\n")
    assert "mcp-server-time" in found["dockerfile"]


async def test_a_taken_over_dockerfile_is_what_the_next_deployment_builds(
    hub: Hub, admin: Client
) -> None:
    server_id = await _host(admin)

    response = await admin.put(PATH, json={"dockerfile": OWN})

    assert response.status == 202
    deployment = await hub.database.run(store.deployment_in, server_id)
    assert deployment
    assert (deployment.number, deployment.config.dockerfile) == (2, OWN)
    found = await _shown(admin)
    assert (found["origin"], found["dockerfile"]) == ("own", OWN)


async def test_given_back_it_is_generated_again(admin: Client) -> None:
    await _host(admin)
    before = await _shown(admin)
    await admin.put(PATH, json={"dockerfile": OWN})

    response = await admin.delete(PATH)
    again = await admin.delete(PATH)

    assert (response.status, again.status) == (202, 202)
    assert await _shown(admin) == before
    server = await again.json()
    assert server["deployment"]["number"] == 3


async def test_the_repositorys_own_is_shown_with_what_to_know_of_it(
    hub: Hub, admin: Client
) -> None:
    await _host(admin, **REPOSITORY)
    unknown = await _shown(admin)
    await _built(hub.database, "clock", "FROM python\nCMD server\n", None)

    found = await _shown(admin)

    assert unknown["origin"] == "none"
    assert found["origin"] == "repository"
    assert {item["code"] for item in found["warnings"]} == {
        "latest_base",
        "runs_as_root",
        "shell_command",
    }


async def test_a_generated_one_of_a_repository_names_no_base_by_its_recipe(
    hub: Hub, admin: Client
) -> None:
    await _host(admin, **REPOSITORY)
    base = "mcp-host/base:0123456789ab"
    await _built(hub.database, "clock", f"FROM {base}\nUSER 1\n", base)

    found = await _shown(admin)

    assert (found["origin"], found["dockerfile"]) == (
        "generated",
        "FROM mcp-host/base\nUSER 1\n",
    )


@pytest.mark.parametrize(
    "text", ["", "RUN x\n", "FROM a\n# \u001b\n", "FROM " + "x" * 70_000]
)
async def test_what_is_no_dockerfile_changes_nothing(admin: Client, text: str) -> None:
    await _host(admin)

    response = await admin.put(PATH, json={"dockerfile": text})

    problem = await response.json()
    assert response.status == 422
    assert [item["field"] for item in problem["errors"]] == ["dockerfile"]
    assert (await _shown(admin))["origin"] == "generated"


async def test_what_is_not_built_here_has_none(admin: Client) -> None:
    await _host(admin, name="clock", image="ghcr.io/o/clock:1")

    response = await admin.put(PATH, json={"dockerfile": OWN})

    assert (await _shown(admin))["origin"] == "none"
    assert response.status == 422


async def test_others_neither_see_nor_change_it(
    admin: Client, maintainer: Client, reader: Client
) -> None:
    await _host(admin)

    statuses = [
        (await maintainer.get(PATH)).status,
        (await maintainer.put(PATH, json={"dockerfile": OWN})).status,
        (await reader.get(PATH)).status,
        (await reader.put(PATH, json={"dockerfile": OWN})).status,
        (await reader.delete(PATH)).status,
    ]

    assert statuses == [404, 404, 200, 403, 403]


async def test_the_trail_says_who_took_it_over_and_gave_it_back(admin: Client) -> None:
    await _host(admin)
    await admin.put(PATH, json={"dockerfile": OWN})
    await admin.delete(PATH)

    found = await (await admin.get("/api/audit")).json()

    actions = [item["action"] for item in found["items"]]
    assert actions[:2] == ["server.dockerfile_reset", "server.dockerfile_set"]


# -- mcpctl


async def test_mcpctl_shows_sets_and_resets(
    hub: Hub, admin: Client, tmp_path: Path
) -> None:
    await _host(admin)
    terminal = Terminal(hub, tmp_path)
    terminal.show_key(admin.session.headers["Authorization"].removeprefix("Bearer "))
    (tmp_path / "Dockerfile").write_text(OWN)

    first = await terminal.run("servers", "dockerfile", "show", "clock")
    from_file = await terminal.run(
        "servers", "dockerfile", "set", "clock", str(tmp_path / "Dockerfile")
    )
    second = await terminal.run("servers", "dockerfile", "show", "clock")
    piped = await terminal.run(
        "servers", "dockerfile", "set", "clock", "-", stdin="FROM python\n"
    )
    third = await terminal.run("servers", "dockerfile", "show", "clock")
    reset = await terminal.run("servers", "dockerfile", "reset", "clock")
    last = await terminal.run("servers", "dockerfile", "show", "clock")

    codes = [item.code for item in (first, from_file, second, piped, third, reset)]
    assert codes == [0] * 6, from_file.err + piped.err
    assert second.out == OWN
    assert "warning" in third.err
    assert last.out == first.out


# -- the page


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with site_hub(database) as running:
        yield running


async def test_the_page_takes_over_and_gives_back(site: Site) -> None:
    await site.host(await site.sign_in(), "time")
    generated = await site.page("/servers/time/dockerfile")

    taken = await site.post("/servers/time/dockerfile", dockerfile=OWN)
    own = await site.page("/servers/time/dockerfile")
    back = await site.post("/servers/time/dockerfile/reset")

    assert "This Dockerfile was generated." in generated
    assert taken.headers["Location"] == "/servers/time/build"
    assert "written for time" in own
    assert "Back to the generated one" in own
    assert back.status == 303
    assert await site.page("/servers/time/dockerfile") == generated


async def test_a_wrong_dockerfile_is_told_beside_what_was_typed(site: Site) -> None:
    await site.host(await site.sign_in(), "time")

    response = await site.post("/servers/time/dockerfile", dockerfile="RUN <b>\n")

    text = await response.text()
    assert response.status == 422
    assert "begin with FROM" in text
    assert "RUN &lt;b&gt;" in text


async def test_the_build_shows_its_dockerfile_and_its_warnings(site: Site) -> None:
    await site.host(await site.sign_in(), "time")
    await _built(site.database, "time", "FROM python\nCMD server\n", None)

    text = await site.page("/servers/time/build")

    assert "FROM python" in text
    assert "Edit this Dockerfile" in text


async def test_a_change_of_the_configuration_keeps_the_dockerfile(site: Site) -> None:
    await site.host(await site.sign_in(), "time")
    await site.post("/servers/time/dockerfile", dockerfile=OWN)

    await site.post("/servers/time/config", memory_limit="256m", cpu_limit="1")

    server = await site.database.run(store.find, "time")
    assert server
    assert server.config.dockerfile == OWN
    assert server.config.memory_limit_bytes == 256 * 1024**2
    assert parse_source({"package": "pypi:mcp-server-time"}) == server.source
