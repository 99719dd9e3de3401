"""What clients of every kind get of a shared stdio server: HTTP+SSE, batches, subscriptions, log levels, tasks."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client

from tests.fakes.mcp_box import (
    BOTH,
    Box,
    stdio_container,
    text_of,
    tool_call,
    wait_until,
)
from tests.functional.gateway.test_gateway_clients import (
    modern_headers,
    modern_request,
    next_event,
)
from tests.functional.gateway.test_gateway_questions import (
    CALLBACKS,
    FORM,
    session,
)


@pytest.fixture
def shared(box: Box) -> Iterator[Box]:
    """A gateway before a server called ``any`` that all clients share."""
    with stdio_container() as container_id:
        box.host_stdio("any", container_id, session_mode="shared")
        yield box


# -- HTTP+SSE


async def test_the_sdks_client_of_2024_is_served_over_http_sse(shared: Box) -> None:
    headers = {"Authorization": f"Bearer {shared.key}"}
    async with (
        sse_client(f"{shared.url}/servers/any/sse", headers=headers) as streams,
        ClientSession(
            streams[0],
            streams[1],
            elicitation_callback=CALLBACKS["elicitation_callback"],
        ) as client,
    ):
        opened = await client.initialize()
        tools = await client.list_tools()
        said = await client.call_tool("echo", {"message": "hi"})
        asked = await client.call_tool(
            "inquire", {"method": "elicitation/create", "params": FORM}
        )

    assert opened.server_info.name == "fake"
    assert "echo" in [tool.name for tool in tools.tools]
    assert said.content[0].text == "Echo: hi"  # type: ignore[union-attr]
    assert '"name": "Anna"' in asked.content[0].text  # type: ignore[union-attr]


async def test_messages_to_another_clients_stream_are_not_taken(shared: Box) -> None:
    other = shared.add_user_key(shared.owner)
    async with sse(shared) as (http, endpoint, _):
        call = tool_call("echo")
        theirs = {"Authorization": f"Bearer {other}"}

        async with http.post(endpoint, json=call) as response:
            assert response.status == 202
        async with http.post(endpoint, json=call, headers=theirs) as response:
            assert response.status in {401, 404}
        async with http.post(endpoint + "x", json=call) as response:
            assert response.status == 404


async def test_a_client_of_http_sse_that_goes_away_cancels_its_calls(
    shared: Box,
) -> None:
    async with sse(shared) as (http, endpoint, events):
        await http.post(endpoint, json=initialize("2024-11-05"))
        assert (await anext(events))["result"]["protocolVersion"] == "2024-11-05"
        await http.post(endpoint, json=tool_call("slow", {"seconds": 30}, 7))
        await asyncio.to_thread(_wait_for_calls, shared, 1)

    await asyncio.to_thread(_wait_for_calls, shared, 0)
    assert "went away" in await asyncio.to_thread(
        lambda: text_of(shared.call("any", "cancelled"))
    )


# -- batches


@pytest.mark.parametrize("accept", ["application/json", BOTH["Accept"]])
async def test_a_batch_of_2025_03_is_answered_message_by_message(
    shared: Box, accept: str
) -> None:
    messages = [
        tool_call("echo", {"message": 1}, 1),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        tool_call("echo", {"message": 2}, "two"),
    ]

    async with session(shared, revision="2025-03-26") as client:
        answers = await client.batch(messages, accept)

    assert {item["id"]: text_of(item) for item in answers} == {
        1: "Echo: 1",
        "two": "Echo: 2",
    }


async def test_a_batch_in_a_revision_without_batches_is_refused(shared: Box) -> None:
    async with session(shared, revision="2025-11-25") as client:
        assert await client.post([tool_call("echo"), tool_call("echo")]) == 400


# -- subscriptions


async def test_stateless_subscribers_hear_of_their_own_resources(shared: Box) -> None:
    async with (
        listening(shared, ["a:1", "a:2"]) as anna,
        listening(shared, ["a:2"]) as ben,
    ):
        first = [await next_event(anna), await next_event(ben)]
        for uri in ("a:1", "a:3", "a:2"):
            await asyncio.to_thread(shared.call, "any", "updated", {"uri": uri})
        hers = [await next_event(anna), await next_event(anna)]
        his = await next_event(ben)

    assert [item["params"]["notifications"] for item in first] == [
        {"resourceSubscriptions": ["a:1", "a:2"]},
        {"resourceSubscriptions": ["a:2"]},
    ]
    assert [item["params"]["uri"] for item in hers] == ["a:1", "a:2"]
    assert his["params"] == {
        "uri": "a:2",
        "_meta": {"io.modelcontextprotocol/subscriptionId": 1},
    }


async def test_the_server_is_told_when_the_last_subscriber_has_left(
    shared: Box,
) -> None:
    async with listening(shared, ["a:1"]) as anna:
        await next_event(anna)
        async with listening(shared, ["a:1"]) as ben:
            await next_event(ben)
        await asyncio.sleep(0.3)
        before = await noted(shared)
    await asyncio.sleep(0.5)

    assert ["unsubscribe", {"uri": "a:1"}] not in before
    assert (await noted(shared)).count(["unsubscribe", {"uri": "a:1"}]) == 1


async def test_what_was_subscribed_to_is_asked_for_again_when_the_server_starts_again(
    shared: Box,
) -> None:
    async with session(shared) as client:
        await client.call(subscribe("a:1"))
        await client.call(set_level("warning"))
        await client.call(tool_call("die"))
        await asyncio.to_thread(
            subprocess.run,
            ["docker", "start", shared.container_id("any")],
            check=True,
            capture_output=True,
        )
        again = await noted(shared)

    assert again == [["subscribe", {"uri": "a:1"}], ["level", {"level": "warning"}]]


async def test_a_purely_stateless_client_opens_no_stream_by_get(shared: Box) -> None:
    headers = {
        "Authorization": f"Bearer {shared.key}",
        "MCP-Protocol-Version": "2026-07-28",
    }
    async with aiohttp.ClientSession(headers=headers) as http:
        for method in ("GET", "DELETE"):
            async with http.request(
                method, f"{shared.url}/servers/any/mcp"
            ) as response:
                assert response.status == 405


# -- log levels


async def test_each_session_hears_the_levels_that_it_asked_for(shared: Box) -> None:
    async with session(shared) as anna, session(shared) as ben:
        await anna.call(set_level("error"))
        await ben.call(set_level("info"))
        said = {
            name: [
                len(await client.call(tool_call("level", {"level": level}))) - 1
                for level in ("debug", "info", "critical")
            ]
            for name, client in (("anna", anna), ("ben", ben))
        }

    assert said == {"anna": [0, 0, 1], "ben": [0, 1, 1]}
    levels = [item[1]["level"] for item in await noted(shared) if item[0] == "level"]
    assert levels == ["error", "info"]


async def test_a_stateless_call_hears_the_level_that_it_names(shared: Box) -> None:
    async def heard(wanted: str | None) -> int:
        body = modern_request(
            "tools/call", {"name": "level", "arguments": {"level": "info"}}
        )
        if wanted is not None:
            body["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = wanted
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{shared.url}/servers/any/mcp",
                json=body,
                headers=modern_headers(shared, "tools/call", "level"),
            ) as response,
        ):
            return (await response.text()).count('"notifications/message"')

    levels = (None, "error", "info", "debug")
    assert [await heard(wanted) for wanted in levels] == [0, 0, 1, 1]


# -- tasks


def test_a_task_is_its_makers_and_nobody_elses(shared: Box) -> None:
    other = shared.add_user_key(shared.owner)
    get = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tasks/get",
        "params": {"taskId": "anna's"},
    }
    everything = {"jsonrpc": "2.0", "id": 3, "method": "tasks/list"}
    shared.wait_known()

    shared.call("any", "make_task", {"id": "anna's"}, key=shared.key)
    shared.call("any", "make_task", {"id": "ben's"}, key=other)

    assert shared.post("any", get, key=shared.key)[1]["result"]["taskId"] == "anna's"
    assert shared.post("any", get, key=other)[1]["error"]["code"] == -32602
    for key, own in ((shared.key, "anna's"), (other, "ben's")):
        listed = shared.post("any", everything, key=key)[1]["result"]["tasks"]
        assert [task["taskId"] for task in listed] == [own]


# -- means


def initialize(revision: str) -> Any:
    params = {
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def subscribe(uri: str) -> Any:
    params = {"uri": uri}
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "resources/subscribe",
        "params": params,
    }


def set_level(level: str) -> Any:
    params = {"level": level}
    return {"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": params}


async def noted(box: Box) -> Any:
    return json.loads(
        await asyncio.to_thread(lambda: text_of(box.call("any", "noted")))
    )


@asynccontextmanager
async def listening(box: Box, uris: list[str]) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = modern_headers(box, "subscriptions/listen")
    body = modern_request(
        "subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}}
    )
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{box.url}/servers/any/mcp", json=body, headers=headers) as response,
    ):
        yield response


@asynccontextmanager
async def sse(
    box: Box,
) -> AsyncIterator[tuple[aiohttp.ClientSession, str, AsyncIterator[Any]]]:
    headers = {"Authorization": f"Bearer {box.key}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{box.url}/servers/any/sse") as response,
    ):
        assert response.status == 200, await response.text()
        assert await response.content.readline() == b"event: endpoint\n"
        path = (await response.content.readline()).decode().removeprefix("data: ")

        async def events() -> AsyncIterator[Any]:
            while True:
                yield await next_event(response)

        yield http, box.url + path.strip(), events()


def _wait_for_calls(box: Box, count: int) -> None:
    wait_until(
        lambda: box.instance_state("any")["calls_in_flight"] == count,
        f"{count} calls are on their way",
    )
