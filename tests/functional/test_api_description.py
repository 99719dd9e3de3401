"""The API's own description: nothing escapes it, and answers are what it says."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from jsonschema import Draft202012Validator

from appliance.web.routes import EVENT_STREAM, Operation, operations
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
#: Of these the document says no schema.
NOT_JSON = frozenset({EVENT_STREAM, "text/plain", "application/jsonl"})
CLOCK = {"name": "clock", "package": "pypi:mcp-server-time"}


@pytest.fixture
async def document(stranger: Client) -> dict[str, Any]:
    """What /openapi.json says."""
    response = await stranger.get("/openapi.json")
    assert response.status == 200
    return dict(await response.json())


def _documented(document: dict[str, Any], item: Operation) -> dict[str, Any]:
    return dict(document["paths"][item.path][item.method.lower()])


def _check(document: dict[str, Any], schema: dict[str, Any], answer: Any) -> None:
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(answer)


async def test_every_route_of_the_api_is_described(
    hub: Hub, document: dict[str, Any]
) -> None:
    # What browsers ask before they ask is no operation of its own.
    silent = {"HEAD", "OPTIONS"}
    routed = {
        (route.method, route.resource.canonical)
        for route in hub.server.app.router.routes()
        if route.resource is not None and route.method not in silent
    }
    described = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert routed == described
    assert ("POST", "/api/servers") in described


async def test_every_schema_is_json_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_every_operation_has_a_name_of_its_own_and_a_summary(
    hub: Hub, document: dict[str, Any]
) -> None:
    found = operations(hub.server.app)

    names = [item.name for item in found]
    assert len(set(names)) == len(names)
    assert all(_documented(document, item)["summary"] for item in found)
    assert all(_documented(document, item)["description"] for item in found)


async def test_every_refusal_is_described_as_a_problem(
    hub: Hub, document: dict[str, Any]
) -> None:
    for item in operations(hub.server.app):
        responses = _documented(document, item)["responses"]
        others = {str(status.value) for status in item.others}
        refusals = {code for code in responses if code >= "400"} - others
        assert refusals, item.path
        for code in refusals:
            assert list(responses[code]["content"]) == ["application/problem+json"]
        assert (item.access == "public") or "401" in responses


async def test_answers_are_what_the_document_says(
    hub: Hub, admin: Client, document: dict[str, Any]
) -> None:
    await admin.post("/api/servers", json=CLOCK)
    await hub.services.jobs.enqueue("test.nothing", {"a": 1})
    reading = [
        item
        for item in operations(hub.server.app)
        if item.method == "GET" and item.content not in NOT_JSON
    ]

    checked = 0
    for item in reading:
        path = item.path.replace("{server}", "clock").replace("{job_id}", "1")
        path = path.replace("{name}", "localhost%2Fclock")
        path = path.replace("{version}", "latest")
        response = await admin.get(path)
        content = _documented(document, item)["responses"][str(response.status)]
        (media_type,) = content["content"]
        assert response.content_type == media_type
        schema = content["content"][media_type]["schema"]
        _check(document, schema, await response.json())
        checked += 1

    assert checked > 15


async def test_a_problem_is_what_the_document_says(
    admin: Client, document: dict[str, Any]
) -> None:
    response = await admin.post("/api/servers", json={"package": "nope"})

    schema = document["components"]["schemas"]["ProblemAnswer"]
    _check(document, schema, await response.json())


async def test_paths_name_their_parameters(document: dict[str, Any]) -> None:
    shown = document["paths"]["/api/jobs/{job_id}"]["get"]["parameters"][0]

    assert shown == {
        "name": "job_id",
        "in": "path",
        "required": True,
        "schema": {"type": "integer"},
    }
