"""A published server that is listed, found as strangers find it, and read whole."""

import json
import time
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.harness.appliance import Appliance

SOON_S = 5.0


def read(url: str) -> tuple[Any, dict[str, str]]:
    with urlopen(
        Request(url, headers={"Origin": "vscode-file://vscode-app"}), timeout=30
    ) as answer:
        return json.loads(answer.read()), dict(answer.headers)


def read_soon(url: str) -> tuple[Any, dict[str, str]]:
    """Read what is there in a moment, if it is not there yet."""
    deadline = time.monotonic() + SOON_S
    while True:
        try:
            return read(url)
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_listed_server_is_found_from_its_domain_to_its_endpoint(
    appliance: Appliance,
) -> None:
    server = appliance.create(
        "found", package="npm:@modelcontextprotocol/server-everything", listed=True
    )
    shown = appliance.wait_running(server)

    catalog, _ = read(f"{appliance.url}/.well-known/ai-catalog.json")
    entry = next(
        item for item in catalog["entries"] if item["identifier"].endswith(":found")
    )
    # Running is told by the hub; the gateway reads it a moment later.
    card, headers = read_soon(entry["url"])
    registry, editors = read(f"{appliance.url}/v0.1/servers?limit=50&version=latest")
    listed = [item["server"]["name"] for item in registry["servers"]]
    manifest = appliance.api("GET", "/api/servers/found/manifest")["manifest"]

    assert card["remotes"][0]["url"] == shown["endpoint"]
    assert headers["Content-Type"] == "application/mcp-server-card+json"
    assert card["name"] in listed
    assert editors["Access-Control-Allow-Origin"] == "*"
    assert len(manifest["prompts"]) > 2
    assert len(manifest["resources"]) > 2
    assert manifest["resourceTemplates"]
    appliance.delete(server.id)
