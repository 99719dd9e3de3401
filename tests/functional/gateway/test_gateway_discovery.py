"""What the gateway shows of its servers to those who look for them: what is listed to everybody, the rest by key."""

import http.client
import json
from typing import Any

import pytest
from psycopg2.extras import Json

from tests.fakes.mcp_box import Box, wait_until

CARD = "/servers/{}/mcp/server-card"
CATALOG = "/.well-known/ai-catalog.json"
OLDER = ["/.well-known/mcp.json", "/.well-known/mcp/server-card.json"]
MANIFEST = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "clock-server", "version": "1.2.3"},
    "capabilities": {"tools": {}},
    "tools": [{"name": "secret_tool", "inputSchema": {}}],
}


def ask(
    box: Box, path: str, *, key: str = "", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        sent["Authorization"] = f"Bearer {key}"
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    parsed = json.loads(body) if body else None
    return answer.status, dict(answer.getheaders()), parsed


@pytest.fixture
def keys(box: Box) -> dict[str, str]:
    """Two servers of two owners, one of them listed, and the keys that open them."""
    owner, other = box.add_user(), box.add_user()
    keys = {
        "open": box.add_server("open", owner),
        "closed": box.add_server("closed", other),
        "owner": box.add_user_key(other),
        "stranger": box.add_user_key(box.add_user()),
    }
    with box.one_transaction():
        box.execute("UPDATE deployments SET manifest = %s", Json(MANIFEST))
        box.execute(
            "UPDATE servers SET config = %s WHERE name = 'open'", Json({"listed": True})
        )
    # Each worker reads the change on its own.
    seen = 0
    while seen < 8:
        wait_until(lambda: ask(box, CARD.format("open"))[0] == 200, "it is listed")
        is_known = ask(box, CARD.format("closed"), key=box.internal_key)[0] == 200
        seen = seen + 1 if is_known else 0
    return keys


@pytest.mark.usefixtures("keys")
def test_a_listed_server_shows_its_card_to_everybody(box: Box) -> None:
    status, headers, card = ask(box, CARD.format("open"))

    assert status == 200
    assert headers["Content-Type"] == "application/mcp-server-card+json"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cache-Control"].startswith("public")
    assert card["name"] == "localhost/open"
    assert card["version"] == "1.2.3"
    assert card["remotes"][0]["url"] == f"{box.url}/servers/open/mcp"
    assert "secret_tool" not in json.dumps(card)


def test_what_is_not_listed_looks_like_what_is_not_there(
    box: Box, keys: dict[str, str]
) -> None:
    closed = ask(box, CARD.format("closed"))
    missing = ask(box, CARD.format("nobody"))
    stranger = ask(box, CARD.format("closed"), key=keys["stranger"])
    wrong = ask(box, CARD.format("closed"), key=keys["open"])

    assert closed[0] == 404
    assert [answer[2] for answer in (closed, stranger, wrong)] == [missing[2]] * 3


@pytest.mark.parametrize("whose", ["closed", "owner"])
def test_a_key_shows_what_it_opens_and_no_cache_keeps_it(
    box: Box, keys: dict[str, str], whose: str
) -> None:
    status, headers, card = ask(box, CARD.format("closed"), key=keys[whose])

    assert (status, card["name"]) == (200, "localhost/closed")
    assert headers["Cache-Control"] == "private, no-store"
    assert "Authorization" in headers["Vary"]


def test_the_catalog_names_what_the_caller_may_see(
    box: Box, keys: dict[str, str]
) -> None:
    def names(key: str = "") -> list[str]:
        status, headers, found = ask(box, CATALOG, key=key)
        assert status == 200
        assert headers["Content-Type"] == "application/ai-catalog+json"
        return [item["identifier"].rpartition(":")[2] for item in found["entries"]]

    assert names() == ["open"]
    assert names(keys["stranger"]) == ["open"]
    assert names(keys["closed"]) == ["closed", "open"]
    assert names(box.internal_key) == ["closed", "open"]


@pytest.mark.parametrize("path", OLDER)
def test_the_older_drafts_addresses_tell_of_one_or_of_several(
    box: Box, keys: dict[str, str], path: str
) -> None:
    one = ask(box, path)[2]
    several = ask(box, path, key=keys["owner"])[2]

    assert one["serverInfo"]["name"] == "open"
    assert [card["serverInfo"]["name"] for card in several["servers"]] == [
        "closed",
        "open",
    ]


def test_a_box_that_lists_nothing_has_an_empty_catalog_and_no_card(box: Box) -> None:
    wait_until(
        lambda: all(ask(box, CATALOG)[2]["entries"] == [] for _ in range(8)),
        "what other tests listed is gone",
    )

    assert ask(box, OLDER[0])[0] == 404


@pytest.mark.usefixtures("keys")
def test_a_key_that_is_not_known_is_told_so(box: Box) -> None:
    status, headers, _ = ask(box, CATALOG, key="mcph_nobody")

    assert status == 401
    assert "invalid_token" in headers["WWW-Authenticate"]


@pytest.mark.usefixtures("keys")
def test_a_page_of_any_origin_may_read_what_is_listed(box: Box) -> None:
    asked = ask(
        box,
        CATALOG,
        method="OPTIONS",
        Origin="https://elsewhere.example",
        Access_Control_Request_Method="GET",
    )
    read = ask(box, CATALOG, Origin="https://elsewhere.example")

    assert asked[0] == 204
    assert asked[1]["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in asked[1]["Access-Control-Allow-Headers"]
    assert read[0] == 200
    assert "Access-Control-Allow-Credentials" not in read[1]


@pytest.mark.usefixtures("keys")
def test_what_is_known_already_is_not_sent_again(box: Box) -> None:
    tag = ask(box, CARD.format("open"))[1]["ETag"]

    status, _, body = ask(box, CARD.format("open"), If_None_Match=tag)

    assert (status, body) == (304, None)


@pytest.mark.usefixtures("keys")
def test_cards_are_read_only(box: Box) -> None:
    assert ask(box, CARD.format("open"), method="POST")[0] == 405


@pytest.mark.usefixtures("keys")
def test_a_server_that_is_no_longer_listed_is_gone_at_once(box: Box) -> None:
    box.execute("UPDATE servers SET config = '{}'")

    wait_until(
        lambda: all(ask(box, CARD.format("open"))[0] == 404 for _ in range(8)),
        "no worker shows it",
        within_s=3,
    )
