"""A server written with the ``mcp`` SDK, both eras on one URL. Run as ``python -m tests.fakes.mcp_sdk PORT``."""

import asyncio
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("sdk-fixture", instructions="A fixture.")


@server.tool()
def echo(message: str) -> str:
    """Say it again."""
    return f"Echo: {message}"


@server.tool()
async def steps(ctx: Context[Any]) -> str:
    """Report progress three times."""
    for step in range(1, 4):
        await ctx.report_progress(step, 3)
        await asyncio.sleep(0.02)
    return "done"


@server.tool()
async def sleep(seconds: float) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return "slept"


if __name__ == "__main__":
    uvicorn.run(
        server.streamable_http_app(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
    )
