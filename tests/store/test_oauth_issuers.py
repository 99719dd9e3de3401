"""What is kept of another authorization server, which answers over real HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from appliance.bootstrap import issuer_check
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.oauth.issuers import OtherIssuer
from appliance.oauth.keys import TokenKeys
from appliance.web.health import DegradedError
from tests.fakes.homemade_issuer import HomemadeIssuer


@dataclass
class Published:
    """What the issuer answers, by path."""

    url: str = ""
    documents: dict[str, Any] = field(default_factory=dict)

    def publish(self, *issuers: HomemadeIssuer) -> None:
        metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.documents["/.well-known/openid-configuration"] = metadata
        self.documents["/keys"] = {"keys": [item.jwk for item in issuers]}


@pytest.fixture
async def published() -> AsyncIterator[Published]:
    said = Published()

    async def answer(request: web.Request) -> web.Response:
        if request.path not in said.documents:
            return web.Response(status=404)
        return web.json_response(said.documents[request.path])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        said.url = str(server.make_url("")).rstrip("/")
        yield said


@pytest.fixture
async def issuer(
    database: Database, published: Published
) -> AsyncIterator[OtherIssuer]:
    async with aiohttp.ClientSession() as session:
        yield OtherIssuer(database, session, published.url)


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    found = database.run_blocking(lambda: database.peewee.execute_sql(sql).fetchall())
    return [tuple(row) for row in found]


async def test_the_gateway_reads_what_the_issuer_published(
    database: Database, published: Published, issuer: OtherIssuer
) -> None:
    first, second = HomemadeIssuer("x", "RS256"), HomemadeIssuer("x", "ES256")
    published.publish(first, second)

    await issuer.look()

    keys = rows(database, "SELECT issuer, kid, alg FROM gateway_token_keys")
    assert set(keys) == {
        (published.url, first.kid, "RS256"),
        (published.url, second.kid, "ES256"),
    }
    [(url, metadata)] = rows(database, "SELECT * FROM gateway_issuers")
    assert (url, metadata["issuer"]) == (published.url, published.url)
    state = await issuer.state()
    assert (state.error, set(state.keys)) == ("", {first.kid, second.kid})


async def test_what_the_issuer_withdraws_is_gone_and_what_stays_is_not_touched(
    database: Database, published: Published, issuer: OtherIssuer
) -> None:
    first, second = HomemadeIssuer("x"), HomemadeIssuer("x")
    published.publish(first, second)
    await issuer.look()
    made = "SELECT kid, created_at FROM oauth_signing_keys ORDER BY kid"
    before = dict(rows(database, made))

    published.publish(second)
    await issuer.look()

    assert dict(rows(database, made)) == {second.kid: before[second.kid]}


async def test_an_issuer_that_is_away_keeps_its_keys(
    database: Database, published: Published, issuer: OtherIssuer
) -> None:
    tells = issuer_check(issuer)
    with pytest.raises(DegradedError, match="not asked yet"):
        await tells()
    published.publish(HomemadeIssuer("x"))
    await issuer.look()
    assert published.url in await tells()
    published.documents.clear()

    await issuer.look()

    with pytest.raises(DegradedError, match="404"):
        await tells()

    state = await issuer.state()
    assert "404" in state.error
    assert state.fetched_at is not None
    assert len(rows(database, "SELECT 1 FROM gateway_token_keys")) == 1


async def test_an_issuer_takes_no_key_of_ours_and_none_of_another_issuer_stays(
    database: Database, published: Published, issuer: OtherIssuer
) -> None:
    own = await TokenKeys(database, Sealer(b"s" * 32)).signer()
    thief = HomemadeIssuer("x")
    thief.jwk["kid"] = own.kid
    published.publish(thief, HomemadeIssuer("x"))
    await issuer.look()
    rows(
        database,
        "UPDATE oauth_signing_keys SET issuer = 'https://before' WHERE issuer <> '' RETURNING 1",
    )

    await issuer.look()

    found = rows(database, "SELECT issuer, kid FROM gateway_token_keys")
    assert len(found) == 2
    assert {kid: url for url, kid in found}[own.kid] == ""
    assert {url for url, _ in found} == {"", published.url}
