"""A server behind HTTP that starts again, or forgets its sessions, while its clients go on."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.fakes.mcp_box import Box
from tests.functional.gateway.test_peers_matrix import connected, text
from tests.functional.gateway.test_peers_sessions import kill_listener, sdk_server

#: A server's transport and eras, to the clients whose way to it is another one each.
WAYS = [
    pytest.param("streamable-http", "legacy", "legacy", id="forwarded by the worker"),
    pytest.param("streamable-http", "legacy", "2026-07-28", id="other era"),
    pytest.param("streamable-http", "legacy", "sse", id="other transport"),
    pytest.param("sse", "legacy", "legacy", id="server of http+sse"),
    pytest.param("streamable-http", "modern", "legacy", id="server of the other era"),
]
PORT = 5404


@contextmanager
def restartable(transport: str, eras: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the address of a server, and what ends it and starts it again."""
    with ExitStack() as stack:
        address = stack.enter_context(sdk_server(transport, PORT, eras))

        def restart() -> None:
            kill_listener(PORT)
            stack.enter_context(sdk_server(transport, PORT, eras))

        yield address, restart


@pytest.mark.parametrize(("transport", "eras", "client"), WAYS)
async def test_a_client_goes_on_when_its_server_started_again(
    transport: str, eras: str, client: str, box: Box
) -> None:
    with restartable(transport, eras) as (address, restart):
        box._host("any", transport, {}, container_id="c0ffee", address=address)
        async with connected(box, client) as session:
            before = await session.call_tool("test_simple_text", {})
            await asyncio.to_thread(restart)
            after = await session.call_tool("test_simple_text", {})
            again = await session.call_tool("test_simple_text", {})

    assert text(before) == text(after) == text(again)


@pytest.mark.parametrize(("transport", "eras", "client"), WAYS[2:])
async def test_a_client_hears_of_changes_after_its_server_started_again(
    transport: str, eras: str, client: str, box: Box
) -> None:
    heard: list[str] = []

    async def note(message: Any) -> None:
        heard.append(json.dumps(getattr(message, "method", "")))

    with restartable(transport, eras) as (address, restart):
        box._host("any", transport, {}, container_id="c0ffee", address=address)
        async with connected(box, client, message_handler=note) as session:
            await session.call_tool("test_simple_text", {})
            await asyncio.to_thread(restart)
            await session.call_tool("test_simple_text", {})
            async with asyncio.timeout(10):
                while '"notifications/tools/list_changed"' not in heard:
                    await session.call_tool("test_trigger_tool_change", {})
                    await asyncio.sleep(0.3)
