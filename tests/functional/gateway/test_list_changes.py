"""A server that says that its lists changed is heard by the hub, whether or not a client listens."""

import asyncio
import contextlib

from appliance.infra.connections import connection_arguments, listen
from tests.fakes.mcp_box import Box


async def _heard(database_url: str, said: asyncio.Event) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(8):
            async for channel, payload in listen(
                connection_arguments(database_url), "manifests"
            ):
                said.set()
                if channel:
                    found.append(payload)
                    break
    return found


async def test_a_stdio_servers_changed_list_is_told_by_its_name(stdio_box: Box) -> None:
    listens = asyncio.Event()
    hearing = asyncio.create_task(_heard(stdio_box.database_url, listens))
    await listens.wait()

    answer = await asyncio.to_thread(stdio_box.call, "fake", "changed")

    assert "result" in answer
    assert await hearing == ["fake"]
