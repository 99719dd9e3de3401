"""The ``mcp`` SDK's client: ``python -m tests.harness.clients.python_sdk URL MODE``, the key in ``MCP_AUTHORIZATION``."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx2
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    TextContent,
    TextResourceContents,
)

PATIENCE_S = 8.0


async def _sampled(
    context: ClientRequestContext, params: CreateMessageRequestParams
) -> CreateMessageResult:
    del context, params
    content = TextContent(type="text", text="a sampled answer")
    return CreateMessageResult(role="assistant", content=content, model="none")


async def _elicited(
    context: ClientRequestContext, params: ElicitRequestParams
) -> ElicitResult:
    del context, params
    return ElicitResult(action="accept", content={"response": "a typed answer"})


def _text(result: Any) -> str:
    return "".join(getattr(item, "text", "") for item in result.content)


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise ValueError(f"{found!r} instead of {wanted!r}")


async def _list(client: Client) -> None:
    names = {tool.name for tool in (await client.list_tools()).tools}
    _expect({"test_simple_text", "test_sampling"} - names, set())


async def _call(client: Client) -> None:
    result = await client.call_tool("test_simple_text", {})
    _expect(_text(result), "This is a simple text response for testing.")


async def _progress(client: Client) -> None:
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        seen.append(progress)

    await client.call_tool("test_tool_with_progress", {}, progress_callback=note)
    _expect(seen, [0, 50, 100])


async def _cancel(client: Client) -> None:
    name = secrets.token_hex(4)
    call = asyncio.create_task(client.call_tool("wait", {"seconds": 30, "name": name}))
    await asyncio.sleep(0.5)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    for _ in range(20):
        if _text(await client.call_tool("was_cancelled", {"name": name})) == "yes":
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the server's tool was not cancelled within 2 s")


async def _read(client: Client) -> None:
    (contents,) = (await client.read_resource("test://static-text")).contents
    assert isinstance(contents, TextResourceContents)
    _expect(contents.text, "This is the content of the static text resource.")


async def _prompt(client: Client) -> None:
    arguments = {"arg1": "one", "arg2": "two"}
    result = await client.get_prompt("test_prompt_with_arguments", arguments)
    content = result.messages[0].content
    assert isinstance(content, TextContent)
    _expect(content.text, "Prompt with arguments: arg1='one', arg2='two'")


async def _sample(client: Client) -> None:
    result = await client.call_tool("test_sampling", {"prompt": "Say something"})
    _expect(_text(result), "LLM response: a sampled answer")


async def _elicit(client: Client) -> None:
    result = await client.call_tool("test_elicitation", {"message": "Type something"})
    wanted = 'User response: action=accept, content={"response": "a typed answer"}'
    _expect(_text(result), wanted)


DEEDS: dict[str, Callable[[Client], Awaitable[None]]] = {
    "list": _list,
    "call": _call,
    "progress": _progress,
    "cancel": _cancel,
    "read": _read,
    "prompt": _prompt,
    "sample": _sample,
    "elicit": _elicit,
}


async def _outcome(deed: Callable[[Client], Awaitable[None]], client: Client) -> str:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await deed(client)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return f"{type(error).__name__}: {error}"
    return "ok"


async def _main(url: str, mode: str) -> dict[str, str]:
    headers = {"Authorization": os.environ["MCP_AUTHORIZATION"]}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode=mode,
            sampling_callback=_sampled,
            elicitation_callback=_elicited,
        ) as client,
    ):
        return {name: await _outcome(deed, client) for name, deed in DEEDS.items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main(*sys.argv[1:]))))  # noqa: T201 - the outcome
