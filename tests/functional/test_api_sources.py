"""Archives, credentials and registry entries over REST."""

import gzip
import io
import tarfile
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.functional.hub import Hub

Client = TestClient[Any, Any]
TOKEN = "ghp-a-canary-of-a-token"
KEY = (
    Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    .decode()
)
ENTRY = {
    "name": "org.example/weather",
    "version": "1.2.3",
    "description": "Weather",
    "packages": [
        {"registryType": "mcpb", "identifier": "https://example.org/x.mcpb"},
        {
            "registryType": "npm",
            "identifier": "@example/weather",
            "version": "1.2.3",
            "transport": {"type": "stdio"},
            "packageArguments": [
                {"type": "positional", "value": "serve"},
                {"type": "named", "name": "--units", "default": "metric"},
            ],
            "environmentVariables": [
                {"name": "WEATHER_KEY", "description": "of the service", "isRequired": True, "isSecret": True}
            ],
        },
    ],
}  # fmt: skip


def packed(text: str = "print('hello')\n") -> bytes:
    """Return a tar.gz of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("server.py")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def form(content: bytes, filename: str = "weather-1.0.tar.gz") -> aiohttp.FormData:
    """Return what a browser sends."""
    data = aiohttp.FormData()
    data.add_field("archive", io.BytesIO(content), filename=filename)
    return data


async def _uploaded(client: Client, content: bytes = b"") -> dict[str, Any]:
    response = await client.post("/api/uploads", data=form(content or packed()))
    assert response.status == 201, await response.text()
    return dict(await response.json())


async def test_an_uploaded_archive_becomes_a_server(maintainer: Client) -> None:
    brought = await _uploaded(maintainer)

    response = await maintainer.post(
        "/api/servers",
        json={"archive": brought["archive"], "archive_name": brought["archive_name"]},
    )

    made = (await response.json())["server"]
    assert response.status == 201
    assert made["name"] == "weather"
    assert made["source"] == {
        "kind": "archive",
        "archive": brought["archive"],
        "archive_name": "weather-1.0.tar.gz",
    }


async def test_nobody_makes_a_server_of_another_s_archive(
    maintainer: Client, hub: Hub
) -> None:
    brought = await _uploaded(maintainer)
    other = await hub.client(await hub.person("other@example.org"))

    response = await other.post("/api/servers", json={"archive": brought["archive"]})

    problem = await response.json()
    assert response.status == 422
    assert problem["code"] == "upload_unknown"
    assert problem["errors"][0]["field"] == "archive"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"#!/bin/sh\nno archive\n", "upload_not_an_archive"),
        (gzip.compress(bytes(10))[:2] + bytes(2 * 1024 * 1024), "upload_too_large"),
    ],
    ids=["text", "large"],
)
async def test_what_is_no_archive_or_too_large_is_not_kept(
    maintainer: Client, hub: Hub, content: bytes, code: str
) -> None:
    response = await maintainer.post("/api/uploads", data=form(content))

    assert response.status == 422
    assert (await response.json())["code"] == code
    assert not list((hub.services.settings.data_dir / "uploads").glob("*"))


async def test_an_upload_is_a_form_with_a_file(maintainer: Client) -> None:
    as_json = await maintainer.post("/api/uploads", json={})
    empty = aiohttp.FormData()
    empty.add_field("other", b"x", filename="x")
    without = await maintainer.post("/api/uploads", data=empty)

    assert as_json.status == 415
    assert without.status == 422
    assert (await without.json())["errors"][0]["field"] == "archive"


async def test_readers_bring_nothing(reader: Client) -> None:
    response = await reader.post("/api/uploads", data=form(packed()))

    assert response.status == 403


async def test_a_quota_bounds_what_one_person_brings(maintainer: Client) -> None:
    first = packed("a = 1\n") + bytes(900 * 1024)
    await _uploaded(maintainer, first)
    await _uploaded(maintainer, first + b"2")

    response = await maintainer.post("/api/uploads", data=form(first + b"3"))

    assert response.status == 429
    assert (await response.json())["code"] == "upload_quota"


async def test_a_new_archive_redeploys_its_server(maintainer: Client) -> None:
    first = await _uploaded(maintainer)
    body = {"name": "w", "archive": first["archive"], "subdirectory": "sub"}
    await maintainer.post("/api/servers", json=body)

    response = await maintainer.post(
        "/api/servers/w/archive", data=form(packed("print(2)\n"), "weather-2.0.tgz")
    )

    changed = await response.json()
    assert response.status == 202
    assert changed["source"]["archive"] != first["archive"]
    assert changed["source"]["archive_name"] == "weather-2.0.tgz"
    assert changed["source"]["subdirectory"] == "sub"
    assert changed["deployment"]["number"] == 2


async def test_a_package_takes_no_archive(maintainer: Client) -> None:
    await maintainer.post("/api/servers", json={"name": "p", "package": "npm:x"})

    response = await maintainer.post("/api/servers/p/archive", data=form(packed()))

    assert response.status == 409
    assert (await response.json())["code"] == "no_archive"


async def test_a_token_is_taken_and_never_shown_nor_stored_in_clear(
    maintainer: Client, hub: Hub
) -> None:
    body = {
        "name": "g",
        "repo_url": "https://git.example.org/o/r.git",
        "git_token": TOKEN,
    }
    made = await maintainer.post("/api/servers", json=body)
    shown = await maintainer.get("/api/servers/g/source/credential")

    assert made.status == 201
    credential = (await shown.json())["credential"]
    assert credential["kind"] == "token"
    assert credential["hint"] == "x-access-token"
    assert TOKEN not in await made.text() + await shown.text()
    rows = await hub.database.run(
        lambda: hub.database.peewee.execute_sql(
            "SELECT s::text, c::text, encode(c.sealed, 'escape'), (SELECT string_agg(e::text, '') FROM events e)"
            ", (SELECT string_agg(a::text, '') FROM audit_events a) FROM servers s, source_credentials c"
        ).fetchall()
    )
    assert TOKEN not in str(rows)


async def test_a_deploy_key_is_shown_by_its_public_half(maintainer: Client) -> None:
    body = {"name": "g", "repo_url": "git@git.example.org:o/r.git", "submodules": True}
    await maintainer.post("/api/servers", json=body)

    put = await maintainer.put(
        "/api/servers/g/source/credential", json={"deploy_key": KEY}
    )
    answer = await put.json()
    gone = await maintainer.delete("/api/servers/g/source/credential")
    again = await maintainer.delete("/api/servers/g/source/credential")

    assert put.status == 200
    assert answer["hint"].startswith("ssh-ed25519 ")
    assert answer["has_host_keys"] is False
    assert gone.status == 204
    assert (await again.json())["code"] == "no_source_credential"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"repo_url": "http://git.example.org/r", "git_token": TOKEN}, "git_token"),
        ({"repo_url": "https://git.example.org/r", "git_token": "a b"}, "git_token"),
        ({"repo_url": "https://git.example.org/r", "deploy_key": KEY}, "deploy_key"),
        ({"repo_url": "git@h:o/r", "git_token": TOKEN}, "git_token"),
        ({"repo_url": "git@h:o/r", "deploy_key": "$(id)"}, "deploy_key"),
        ({"package": "npm:x", "git_token": TOKEN}, "git_token"),
        ({"repo_url": "https://git.example.org/r", "git_user": "x"}, "git_user"),
        ({"repo_url": "https://h/r", "git_token": TOKEN, "git_user": "a:b"}, "git_user"),
        ({"archive": "sha256:00"}, "archive"),
        ({"archive": "../../etc/passwd"}, "archive"),
        ({"package": "npm:x", "submodules": True}, "submodules"),
        ({"server_json": {"packages": []}}, "server_json"),
        ({"server_json": ENTRY, "package": "npm:x"}, "source"),
        ({"server_json": ENTRY}, "inputs.WEATHER_KEY"),
        ({"server_json": ENTRY, "inputs": {"WEATHER_KEY": "k", "x": "y"}}, "inputs.x"),
        ({"server_json": ENTRY, "server_json_option": 0}, "server_json"),
        ({"server_json": ENTRY, "server_json_option": 7}, "server_json_option"),
        ({"server_json_url": "file:///etc/passwd"}, "server_json_url"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_source_is_named(
    maintainer: Client, body: dict[str, Any], field: str
) -> None:
    response = await maintainer.post("/api/servers", json=body)

    text = await response.text()
    assert response.status == 422, text
    assert field in [item["field"] for item in (await response.json())["errors"]]
    assert TOKEN not in text
    assert "PRIVATE" not in text


async def test_an_entry_shows_what_it_offers_and_asks(maintainer: Client) -> None:
    response = await maintainer.post(
        "/api/sources/server-json", json={"server_json": {"server": ENTRY}}
    )

    found = await response.json()
    bundle, package = found["options"]
    assert "not supported" in bundle["why_not"]
    assert package["source"] == {"package": "npm:@example/weather@1.2.3"}
    assert [question["name"] for question in package["questions"]] == [
        "WEATHER_KEY",
        "--units",
    ]
    assert package["questions"][0]["is_secret"]


async def test_an_entry_becomes_the_source_that_it_names(
    maintainer: Client, hub: Hub
) -> None:
    body = {
        "name": "weather",
        "server_json": ENTRY,
        "environment": {"WEATHER_KEY": "k"},
        "inputs": {"--units": "imperial"},
        "arguments": ["--verbose"],
    }

    response = await maintainer.post("/api/servers", json=body)

    assert (await response.json())["server"]["source"] == {
        "kind": "package",
        "package": "npm:@example/weather@1.2.3",
    }
    ((config,),) = await hub.database.run(
        lambda: hub.database.peewee.execute_sql("SELECT config FROM servers").fetchall()
    )
    assert config["arguments"] == ["serve", "--units", "imperial", "--verbose"]
    assert config["environment"] == {}
    kept = await (await maintainer.get("/api/servers/weather/secrets")).json()
    assert [item["name"] for item in kept["items"]] == ["WEATHER_KEY"]


async def test_a_registry_of_this_box_s_neighbours_is_not_asked(
    maintainer: Client,
) -> None:
    response = await maintainer.post(
        "/api/sources/server-json", json={"server_json_url": "http://127.0.0.1:1/x"}
    )

    assert response.status == 503
    assert (await response.json())["code"] == "entry_unreachable"
