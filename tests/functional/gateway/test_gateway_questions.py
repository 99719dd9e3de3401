"""What servers ask their clients, in front of a shared stdio server: sampling, elicitation, roots."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from mcp import types

from tests.fakes.mcp_box import (
    BOTH,
    Box,
    stdio_container,
    text_of,
    tool_call,
    wait_until,
)
from tests.functional.gateway.test_gateway_clients import (
    connected,
    modern_headers,
    modern_request,
    text,
)

FORM = {
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
SAMPLING = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Hello"}}],
    "maxTokens": 10,
}
ASKS = {
    "elicitation/create": FORM,
    "sampling/createMessage": SAMPLING,
    "roots/list": {},
}
EVERYTHING: dict[str, Any] = {
    "sampling": {},
    "elicitation": {"form": {}, "url": {}},
    "roots": {},
}
ANSWER = {"action": "accept", "content": {"name": "Anna"}}


@pytest.fixture
def shared(box: Box) -> Iterator[Box]:
    """A gateway before a server called ``any`` that all clients share."""
    with stdio_container() as container_id:
        box.host_stdio("any", container_id, session_mode="shared")
        yield box


@pytest.fixture
def own(make_box: Callable[..., Box]) -> Iterator[Box]:
    """As ``shared``, and nobody minds what is done to the gateway."""
    box = make_box()
    with stdio_container() as container_id:
        box.host_stdio("any", container_id, session_mode="shared")
        yield box


async def _form(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    assert params.message == FORM["message"]
    return types.ElicitResult(action="accept", content={"name": "Anna"})


async def _sample(
    _: Any, __: types.CreateMessageRequestParams
) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text="Hello yourself")
    return types.CreateMessageResult(role="assistant", content=content, model="m")


async def _roots(_: Any) -> types.ListRootsResult:
    return types.ListRootsResult(
        roots=[types.Root.model_validate({"uri": "file:///home/anna"})]
    )


CALLBACKS: dict[str, Any] = {
    "elicitation_callback": _form,
    "sampling_callback": _sample,
    "list_roots_callback": _roots,
}


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("elicitation/create", '"name": "Anna"'),
        ("sampling/createMessage", "Hello yourself"),
        ("roots/list", "file:///home/anna"),
    ],
)
async def test_the_sdks_client_is_asked_and_the_server_hears_the_answer(
    shared: Box, mode: str, method: str, said: str
) -> None:
    arguments = {"method": method, "params": ASKS[method]}

    async with connected(shared, mode, **CALLBACKS) as client:
        once = await client.call_tool("inquire", arguments)
        twice = await client.call_tool("inquire_twice", arguments)

    assert said in text(once)
    assert text(twice).count(said) == 2


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("elicitation/create", FORM),
        ("elicitation/create", {"mode": "url", "message": "m", "url": "https://x"}),
        ("sampling/createMessage", SAMPLING),
    ],
)
async def test_a_client_that_cannot_answer_is_not_asked_and_the_server_is_told(
    shared: Box, mode: str, method: str, params: Any
) -> None:
    async with connected(shared, mode) as client:
        said = await client.call_tool("inquire", {"method": method, "params": params})

    error = json.loads(text(said))["error"]
    assert error["code"] == (-32601 if mode == "legacy" else -32021)
    assert method in error["message"]


async def test_a_server_that_asks_with_several_clients_calls_in_flight_is_refused(
    shared: Box,
) -> None:
    arguments = {"method": "elicitation/create", "params": FORM}
    async with (
        connected(shared, "legacy", **CALLBACKS) as anna,
        connected(shared, "legacy", **CALLBACKS) as ben,
    ):
        slow = asyncio.create_task(ben.call_tool("slow", {"seconds": 2}))
        await asyncio.to_thread(_wait_for_calls, shared, 1)

        said = await anna.call_tool("inquire", arguments)

        assert "cannot be told" in json.loads(text(said))["error"]["message"]
        assert text(await slow) == "slept"


async def test_a_question_that_the_server_takes_back_is_taken_back_from_the_client(
    shared: Box,
) -> None:
    async with session(shared) as client:
        arguments = {
            "method": "elicitation/create",
            "params": FORM,
            "withdraw": 0.3,
        }
        seen = [item async for item in client.events(tool_call("inquire", arguments))]

    question, taken_back, answer = seen
    assert question["method"] == "elicitation/create"
    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"] == {"requestId": question["id"], "reason": "late"}
    assert answer["result"]["content"][0]["text"] == "withdrawn"


async def test_only_the_session_that_was_asked_can_answer(shared: Box) -> None:
    async with session(shared) as anna, session(shared) as ben:
        arguments = {"method": "elicitation/create", "params": FORM}
        events = anna.events(tool_call("inquire", arguments))
        question = await anext(events)
        forged = {"jsonrpc": "2.0", "id": question["id"], "result": {"forged": True}}
        true = {"jsonrpc": "2.0", "id": question["id"], "result": ANSWER}

        assert await ben.post(forged) == 202
        assert await anna.post(true) == 202
        answer = await anext(events)

    assert json.loads(text_of(answer)) == {"result": ANSWER}


async def test_a_bridge_that_was_started_again_knows_what_clients_can_answer(
    own: Box,
) -> None:
    async with session(own) as client:
        await client.call(tool_call("echo"))
        await asyncio.to_thread(own.kill_child, "bridge")

        arguments = {"method": "elicitation/create", "params": FORM}
        events = client.events(tool_call("inquire", arguments))
        question = await anext(events)
        await client.post({"jsonrpc": "2.0", "id": question["id"], "result": ANSWER})
        answer = await anext(events)

    assert json.loads(text_of(answer)) == {"result": ANSWER}


async def test_a_client_reports_progress_on_what_it_was_asked_and_on_nothing_else(
    shared: Box,
) -> None:
    params = FORM | {"_meta": {"progressToken": "theirs"}}
    arguments = {"method": "elicitation/create", "params": params}
    async with session(shared) as anna, session(shared) as ben:
        events = anna.events(tool_call("inquire", arguments))
        question = await anext(events)

        await ben.post(_progress("theirs", 1))
        await anna.post(_progress("made up", 2))
        await anna.post(_progress("theirs", 3))
        await anna.post({"jsonrpc": "2.0", "id": question["id"], "result": ANSWER})
        await anext(events)

    noted = json.loads(text_of(shared.call("any", "noted")))
    assert [item[1]["progress"] for item in noted] == [3]


async def test_a_stateless_client_comes_back_with_answers(shared: Box) -> None:
    first = ask(shared, "elicitation/create")
    (key,) = first["inputRequests"]
    second = answer(shared, first, {key: ANSWER, "unknown": {}})

    assert first["resultType"] == "input_required"
    assert first["inputRequests"][key] == {
        "method": "elicitation/create",
        "params": FORM,
    }
    assert second["resultType"] == "complete"
    assert json.loads(second["content"][0]["text"]) == {"result": ANSWER}


def test_what_was_not_answered_is_asked_again_under_another_state(shared: Box) -> None:
    first = ask(shared, "elicitation/create")
    second = answer(shared, first, {})

    assert second["inputRequests"] == first["inputRequests"]
    assert second["requestState"] != first["requestState"]
    third = answer(shared, second, dict.fromkeys(second["inputRequests"], ANSWER))
    assert third["resultType"] == "complete"


@pytest.mark.parametrize("change", ["tool", "state", "key", "again"])
def test_a_request_state_serves_its_owner_and_its_purpose_once(
    shared: Box, change: str
) -> None:
    first = ask(shared, "elicitation/create")
    responses = dict.fromkeys(first["inputRequests"], ANSWER)
    given = {"inputResponses": responses, "requestState": first["requestState"]}
    tool, key = "inquire", shared.key
    if change == "tool":
        tool = "echo"
    elif change == "state":
        given["requestState"] = first["requestState"][:-1] + "!"
    elif change == "key":
        key = shared.add_user_key(shared.owner)
        shared.wait_known()
    else:
        answer(shared, first, responses)

    status, refused = post_modern(shared, tool, {}, given, key=key)

    assert (status, refused["error"]["code"]) == (400, -32602)


def test_answers_that_a_client_brings_unasked_are_used(shared: Box) -> None:
    hinted = FORM | {"_meta": {"mcp-host/inputKey": "user_name"}}
    arguments = {"method": "elicitation/create", "params": hinted}

    first = post_modern(shared, "inquire", arguments)[1]["result"]
    brought = {"inputResponses": {"user_name": ANSWER}}
    second = post_modern(shared, "inquire", arguments, brought)[1]["result"]

    assert first["inputRequests"]["user_name"]["params"] == FORM
    assert json.loads(second["content"][0]["text"]) == {"result": ANSWER}


def test_a_call_that_waits_for_its_client_is_one_call_at_the_server(
    shared: Box,
) -> None:
    first = ask(shared, "elicitation/create")

    assert shared.instance_state("any")["calls_in_flight"] == 1

    answer(shared, first, dict.fromkeys(first["inputRequests"], ANSWER))
    assert shared.instance_state("any")["calls_in_flight"] == 0


def test_a_shared_server_is_told_what_clients_in_general_can_do(shared: Box) -> None:
    told = json.loads(text_of(shared.call("any", "announced")))

    assert told == {"sampling": {}, "elicitation": {"form": {}, "url": {}}}


# -- means


class Session:
    """A client with a session, spoken to by hand."""

    def __init__(self, http: aiohttp.ClientSession, url: str, session_id: str) -> None:
        self._http = http
        self._url = url
        self._headers = {"Mcp-Session-Id": session_id}

    async def post(self, message: Any) -> int:
        async with self._http.post(
            self._url, json=message, headers=self._headers
        ) as response:
            await response.read()
            return response.status

    async def call(self, message: Any) -> list[Any]:
        """Return everything that a request is answered with."""
        return await self.batch(message, BOTH["Accept"])

    async def batch(self, messages: Any, accept: str) -> list[Any]:
        headers = self._headers | {"Accept": accept}
        async with self._http.post(
            self._url, json=messages, headers=headers
        ) as response:
            text = await response.text()
        if response.content_type == "application/json":
            answered = json.loads(text)
            return answered if isinstance(answered, list) else [answered]
        lines = text.splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    async def events(self, message: Any) -> AsyncIterator[Any]:
        async with (
            asyncio.timeout(60),  # of which a gateway's hand-over may take a part
            self._http.post(self._url, json=message, headers=self._headers) as response,
        ):
            assert response.content_type == "text/event-stream", await response.text()
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


@asynccontextmanager
async def session(
    box: Box, capabilities: Any = None, revision: str = "2025-11-25"
) -> AsyncIterator[Session]:
    url = f"{box.url}/servers/any/mcp"
    message = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": revision,
            "capabilities": EVERYTHING if capabilities is None else capabilities,
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    headers = BOTH | {"Authorization": f"Bearer {box.key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(url, json=message) as response:
            session_id = response.headers["Mcp-Session-Id"]
        yield Session(http, url, session_id)


def ask(box: Box, method: str) -> Any:
    arguments = {"method": method, "params": ASKS[method]}
    return post_modern(box, "inquire", arguments)[1]["result"]


def answer(box: Box, asked: Any, responses: Any) -> Any:
    given = {"inputResponses": responses, "requestState": asked["requestState"]}
    return post_modern(box, "inquire", {}, given)[1]["result"]


def post_modern(
    box: Box, tool: str, arguments: Any, more: Any = None, *, key: str = ""
) -> tuple[int, Any]:
    params = {"name": tool, "arguments": arguments} | (more or {})
    body = modern_request("tools/call", params)
    meta = body["params"]["_meta"]
    meta["io.modelcontextprotocol/clientCapabilities"] = EVERYTHING
    headers = modern_headers(box, "tools/call", tool)
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return box.post("any", body, headers=headers)


def _progress(token: str, progress: int) -> Any:
    params = {"progressToken": token, "progress": progress}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def _wait_for_calls(box: Box, count: int) -> None:
    wait_until(
        lambda: box.instance_state("any")["calls_in_flight"] == count,
        "the call is on its way",
    )
