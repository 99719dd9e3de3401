"""What the document promises of every route, and that bodies and queries are taken as it says."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, create_model

from appliance.core.errors import InvalidError
from appliance.web.openapi import document
from appliance.web.parsing import Input, Moment, parse_body, parse_query
from appliance.web.requests import Access
from appliance.web.routes import EVENT_STREAM, Routes, operations
from appliance.web.schema_names import renamed, short_names


class _Answer(BaseModel):
    done: bool


class _Body(Input):
    at_once: bool = False
    times: int = 1
    share: float = 1.0
    names: frozenset[str] = frozenset()


class _Query(Input):
    since: Moment | None = None


def _routes() -> Routes:
    routes = Routes("things")

    @routes.get("/api/things", summary="List")
    async def listed(_: web.Request) -> _Answer:
        return _Answer(done=True)

    @routes.post("/api/things", summary="Add")
    async def add(_: web.Request, *, body: _Body) -> _Answer:
        return _Answer(done=body.at_once)

    @routes.get("/open", summary="Look", access=Access.PUBLIC)
    async def look(_: web.Request) -> _Answer:
        return _Answer(done=True)

    @routes.get("/healthz", summary="Alive", access=Access.PUBLIC)
    async def alive(_: web.Request) -> _Answer:
        return _Answer(done=True)

    @routes.post("/hook", summary="Call", access=Access.SIGNED)
    async def hook(_: web.Request) -> _Answer:
        return _Answer(done=True)

    @routes.get("/api/events", summary="Follow", content=EVENT_STREAM)
    async def follow(_: web.Request) -> web.StreamResponse:
        return web.StreamResponse()

    return routes


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    return _paths(_routes())


def _paths(routes: Routes) -> dict[str, Any]:
    """Return each route's part of the document."""
    app = web.Application()
    app.add_routes(routes.definitions)
    found = document(operations(app), version="1")["paths"]
    return {
        f"{method.upper()} {path}": item
        for path, methods in found.items()
        for method, item in methods.items()
    }


@pytest.mark.parametrize(
    ("route", "is_counted"),
    [
        ("GET /api/things", False),
        ("POST /api/things", True),
        ("GET /open", True),
        ("GET /healthz", False),
        ("POST /hook", True),
    ],
)
def test_what_can_be_asked_too_often_says_so(
    paths: dict[str, Any], route: str, *, is_counted: bool
) -> None:
    assert ("429" in paths[route]["responses"]) == is_counted


def test_reading_may_be_refused_to_a_narrowed_key(paths: dict[str, Any]) -> None:
    assert "403" in paths["GET /api/things"]["responses"]
    assert "403" not in paths["GET /open"]["responses"]


def test_what_counts_once_may_come_twice() -> None:
    app = web.Application()
    app.add_routes(_routes().definitions)

    shown = document(operations(app), version="1")["components"]["schemas"]

    names = {"default": [], "items": {"type": "string"}, "title": "Names", "type": "array"}  # fmt: skip
    assert shown["_Body"]["properties"]["names"] == names


def test_models_that_are_called_the_same_are_told_apart_by_their_nouns() -> None:
    ref = "#/components/schemas/"
    found = [
        "appliance__web__api__run_bodies__StepBody",
        "appliance__servers__model__Step",
        "PageAnswer",
    ]

    names = short_names(dict.fromkeys(found))

    assert list(names.values()) == ["RunStepBody", "ServersStep", "PageAnswer"]
    schema = {"anyOf": [{"$ref": ref + found[0]}, {"$ref": ref + found[2]}]}
    assert renamed(schema, names) == {
        "anyOf": [{"$ref": ref + "RunStepBody"}, {"$ref": ref + "PageAnswer"}]
    }


def test_no_two_schemas_get_one_name() -> None:
    found = ["appliance__web__api__runs__Step", "appliance__runs__model__Step", "RunsStep"]  # fmt: skip

    assert short_names(dict.fromkeys(found)) == {name: name for name in found}


def test_queries_of_two_nouns_may_be_called_the_same() -> None:
    older = create_model(
        "HistoryQuery", __base__=Input, __module__="a", older=(str, "")
    )
    newer = create_model(
        "HistoryQuery", __base__=Input, __module__="b", newer=(str, "")
    )
    routes = Routes("things")

    @routes.get("/api/older", summary="Look back")
    async def back(_: web.Request, *, query: older) -> _Answer:
        return _Answer(done=bool(query))

    @routes.get("/api/newer", summary="Look ahead")
    async def ahead(_: web.Request, *, query: newer) -> _Answer:
        return _Answer(done=bool(query))

    paths = _paths(routes)

    asked = {name: item["parameters"][0]["name"] for name, item in paths.items()}
    assert asked == {"GET /api/older": "older", "GET /api/newer": "newer"}


def test_a_stream_is_described_by_its_events(paths: dict[str, Any]) -> None:
    content = paths["GET /api/events"]["responses"]["200"]["content"]

    assert content == {
        EVENT_STREAM: {"schema": {"$ref": "#/components/schemas/EventAnswer"}}
    }


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b'{"at_once": 0}', "at_once"),
        (b'{"times": "5"}', "times"),
        (b'{"times": true}', "times"),
        (b'{"share": false}', "share"),
    ],
)
async def test_a_body_is_taken_as_the_document_says_and_no_other_way(
    sent: bytes, field: str
) -> None:
    request = make_mocked_request(
        "POST", "/", headers={"Content-Type": "application/json"}
    )
    request._read_bytes = sent

    with pytest.raises(InvalidError) as refused:
        await parse_body(request, _Body)

    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize(
    "value",
    ["0.5", "1764547200", "1e5", "2026-01-31T12:00:00", "0001-01-01T00:00:00%2B22:59"],
)
def test_a_moment_is_no_number_and_has_an_offset(value: str) -> None:
    with pytest.raises(InvalidError) as refused:
        parse_query(make_mocked_request("GET", f"/?since={value}"), _Query)

    assert list(refused.value.fields) == ["since"]


def test_a_moment_is_read() -> None:
    request = make_mocked_request("GET", "/?since=2026-02-01T10:59:00%2B22:59")

    since = parse_query(request, _Query).since

    assert since is not None
    assert since.isoformat() == "2026-01-31T12:00:00+00:00"
