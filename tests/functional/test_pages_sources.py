"""The form of a new server: an archive, a private repository, a registry's entry."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.infra.database import Database
from tests.functional.test_api_sources import ENTRY, KEY, packed
from tests.harness.pages import Hub, hub

TOKEN = "a-canary-of-a-token"


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub with pages and a data directory of its own."""
    async with hub(database, data_dir=tmp_path / "data") as running:
        yield running


async def send(
    site: Hub, *, token: str | None = None, file: bytes | None = None, **form: str
) -> aiohttp.ClientResponse:
    """Send the form as a browser does that was given a file, token first."""
    data = aiohttp.FormData()
    data.add_field("csrf_token", site.csrf if token is None else token)
    for name, value in form.items():
        data.add_field(name.replace("__", "."), value, content_type="text/plain")
    if file is not None:
        data.add_field("archive_file", io.BytesIO(file), filename="weather-1.0.tar.gz")
    return await site.client.post(
        "/servers/new", data=data, headers={"Accept": "text/html"}
    )


async def test_an_archive_is_uploaded_with_the_form(site: Hub) -> None:
    await site.sign_in()

    response = await send(site, kind="archive", file=packed())

    assert response.status == 200
    assert "mcps_" in await response.text()
    assert "weather-1.0.tar.gz" in await site.page("/servers/weather/config")


async def test_a_file_is_kept_while_other_fields_are_mended(site: Hub) -> None:
    await site.sign_in()

    refused = await send(site, kind="archive", name="Not a name", file=packed())
    text = await refused.text()
    digest = text.split('name="archive" value="')[1].split('"')[0]
    mended = await send(
        site, kind="archive", name="w", archive=digest, archive_name="x.zip"
    )

    assert refused.status == 422
    assert "is here already" in text
    assert digest.startswith("sha256:")
    assert mended.status == 200


async def test_a_file_that_is_no_archive_is_told_beside_its_control(site: Hub) -> None:
    await site.sign_in()

    response = await send(site, kind="archive", file=b"#!/bin/sh")

    assert response.status == 422
    assert "field-archive-problem" in await response.text()


async def test_no_file_is_taken_without_the_session_s_token(site: Hub) -> None:
    await site.sign_in()

    response = await send(site, token="wrong", kind="archive", file=packed())

    assert response.status == 403
    assert not list((site.services.settings.data_dir / "uploads").glob("*"))


async def test_ways_into_a_repository_are_never_shown_again(site: Hub) -> None:
    await site.sign_in()
    form: dict[str, Any] = {
        "kind": "git",
        "repo_url": "https://git.example.org/r.git",
        "lfs": "yes",
    }

    wrong = await send(site, **form, name="No name", git_token=TOKEN, git_user="ada")
    made = await send(site, **form, name="g", git_token=TOKEN)
    bad = await send(site, **form, name="h", deploy_key=KEY)

    assert wrong.status == 422
    assert TOKEN not in await wrong.text()
    assert made.status == 200
    assert TOKEN not in await made.text()
    assert "a deploy key goes over ssh" in await bad.text()
    assert "PRIVATE KEY-----\n" not in await bad.text()


@pytest.mark.parametrize("wrap", [False, True])
async def test_an_entry_asks_for_what_it_needs_and_is_then_hosted(
    site: Hub, *, wrap: bool
) -> None:
    await site.sign_in()
    entry = json.dumps({"server": ENTRY} if wrap else ENTRY)

    asked = await send(site, kind="entry", server_json=entry)
    text = await asked.text()
    made = await send(
        site, kind="entry", server_json=entry, name="w", input__WEATHER_KEY=TOKEN
    )

    assert asked.status == 422
    assert 'name="input.WEATHER_KEY"' in text
    assert "of the service" in text
    assert made.status == 200
    assert "npm:@example/weather@1.2.3" in await site.page("/servers/w/config")


async def test_what_is_no_entry_is_told_beside_its_control(site: Hub) -> None:
    await site.sign_in()

    response = await send(site, kind="entry", server_json="{}")

    assert response.status == 422
    assert "field-server_json-problem" in await response.text()


async def test_the_configuration_page_takes_a_new_archive(site: Hub) -> None:
    await site.sign_in()
    await send(site, kind="archive", name="w", file=packed())
    data = aiohttp.FormData()
    data.add_field("csrf_token", site.csrf)
    data.add_field("archive_file", io.BytesIO(packed("2")), filename="two.tgz")

    response = await site.client.post(
        "/servers/w/archive",
        data=data,
        headers={"Accept": "text/html"},
        allow_redirects=False,
    )

    assert response.headers["Location"] == "/servers/w/build"
    assert "two.tgz" in await site.page("/servers/w/config")


async def test_the_configuration_page_sets_and_forgets_a_credential(site: Hub) -> None:
    await site.sign_in()
    await send(site, kind="git", name="g", repo_url="https://git.example.org/r.git")

    wrong = await site.post("/servers/g/credential", git_token="two words")
    await site.post("/servers/g/credential", git_token=TOKEN, git_user="ada")
    shown = await site.page("/servers/g/config")
    await site.post("/servers/g/credential", action="remove")
    gone = await site.page("/servers/g/config")

    assert wrong.status == 422
    assert "is not a token" in await wrong.text()
    assert ">ada<" in shown
    assert TOKEN not in shown
    assert ">ada<" not in gone
