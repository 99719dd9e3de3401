"""A small MCP client: how the hub asks a hosted server what it can do, and calls its tools.

It goes through the gateway as any client does, so what it sees is what clients see. Every exchange opens a session and ends it:
a server that keeps sessions keeps none of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from appliance.servers.exchange import META, Exchange, Gateway
from appliance.servers.mcp_answers import McpCallError, McpUnavailableError

__all__ = ["Manifest", "McpCallError", "McpClient", "McpUnavailableError"]

PROBE_TIMEOUT_S = 20.0
MAX_PAGES = 100
#: Of one list; what a server lists beyond is not kept.
MAX_ENTRIES = 5000
LIST_PATIENCE_S = 5.0
#: Capability, method and member of the lists besides the tools.
_MORE = (
    ("prompts", "prompts/list", "prompts"),
    ("resources", "resources/list", "resources"),
    ("resources", "resources/templates/list", "resourceTemplates"),
)
_NO_SUCH_METHOD = -32601


@dataclass(frozen=True)
class Manifest:
    """What a server says of itself."""

    protocol_version: str
    server_info: dict[str, Any]
    capabilities: dict[str, Any]
    instructions: str | None
    tools: tuple[dict[str, Any], ...]
    prompts: tuple[dict[str, Any], ...] = ()
    resources: tuple[dict[str, Any], ...] = ()
    resource_templates: tuple[dict[str, Any], ...] = ()
    #: Lists that were announced and asked for, and not answered.
    unread: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it in the protocol's own names."""
        return {
            "protocolVersion": self.protocol_version,
            "serverInfo": self.server_info,
            "capabilities": self.capabilities,
            "instructions": self.instructions,
            "tools": list(self.tools),
            "prompts": list(self.prompts),
            "resources": list(self.resources),
            "resourceTemplates": list(self.resource_templates),
            "unread": list(self.unread),
        }


class McpClient:
    """Calls servers through the gateway.

    Args:
        gateway: Where it is.
        list_patience_s: Seconds that a probe waits for each list besides the tools.
    """

    def __init__(
        self, gateway: Gateway, *, list_patience_s: float = LIST_PATIENCE_S
    ) -> None:
        """Keep them."""
        self._list_patience_s = list_patience_s
        self._gateway = gateway

    async def probe(self, name: str, *, instance_id: int | None = None) -> Manifest:
        """Open the server, list what it announces and return what it said.

        Its tools it must list. Prompts and resources that it announces and does not list are told as unread: a server whose
        tools work is not held back by them.

        Args:
            name: Of the server.
            instance_id: The instance that must have answered. The gateway may know an older one for some milliseconds.

        Raises:
            McpUnavailableError: Nothing answers, or another instance did.
            McpCallError: It answers, but refuses to be opened or to list its tools.
        """
        async with self._open(name, PROBE_TIMEOUT_S, instance_id) as (exchange, opened):
            capabilities = _object(opened.get("capabilities"))
            instructions = opened.get("instructions")
            tools = (
                await _all(exchange, "tools/list", "tools")
                if "tools" in capabilities
                else ()
            )
            more, unread = await _more(exchange, capabilities, self._list_patience_s)
        return Manifest(
            protocol_version=str(opened.get("protocolVersion", exchange.revision)),
            server_info=_object(opened.get("serverInfo"))
            or _modern_server_info(opened),
            capabilities=capabilities,
            instructions=instructions if isinstance(instructions, str) else None,
            tools=tools,
            prompts=more.get("prompts", ()),
            resources=more.get("resources", ()),
            resource_templates=more.get("resourceTemplates", ()),
            unread=unread,
        )

    async def call_tool(
        self,
        name: str,
        tool: str,
        arguments: Mapping[str, Any],
        timeout_s: float,
        *,
        place: str = "servers",
    ) -> dict[str, Any]:
        """Call one tool and return the JSON-RPC result; a tool's own failure is a result with ``isError``.

        Args:
            name: Of the server, or of what else there is at ``place``.
            tool: Of the tool.
            arguments: As its input schema wants them.
            timeout_s: Seconds for the whole exchange.
            place: ``servers`` or ``bundles``.

        Raises:
            McpUnavailableError: Nothing answers, or not in time.
            McpCallError: The server refused the call.
        """
        async with self._open(name, timeout_s, None, place=place) as (exchange, _):
            return await exchange.ask(
                "tools/call", {"name": tool, "arguments": dict(arguments)}
            )

    @asynccontextmanager
    async def _open(
        self,
        name: str,
        timeout_s: float,
        instance_id: int | None,
        *,
        place: str = "servers",
    ) -> AsyncIterator[tuple[Exchange, dict[str, Any]]]:
        exchange = self._gateway.exchange(
            name, timeout_s, place=place, instance_id=instance_id
        )
        try:
            opened = await exchange.open()
            yield exchange, opened
            await exchange.close()
        except TimeoutError as error:
            raise McpUnavailableError(
                f"{name} did not answer within {timeout_s:g} seconds."
            ) from error
        except aiohttp.ClientError as error:
            raise McpUnavailableError(
                f"The gateway at {self._gateway.url} does not answer: {error}.",
                hint="Is the gateway process running? MCP_GATEWAY_URL says where it is looked for.",
            ) from error


async def _more(
    exchange: Exchange, capabilities: Mapping[str, Any], patience_s: float
) -> tuple[dict[str, tuple[dict[str, Any], ...]], tuple[str, ...]]:
    """Return the lists besides tools that the server announces, and the names of those that it did not give."""
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    unread: list[str] = []
    for capability, method, member in _MORE:
        if capability not in capabilities:
            continue
        try:
            async with asyncio.timeout(patience_s):
                found[member] = await _all(exchange, method, member)
        except (McpCallError, McpUnavailableError, TimeoutError, aiohttp.ClientError):
            unread.append(member)
    return found, tuple(unread)


async def _all(
    exchange: Exchange, method: str, member: str
) -> tuple[dict[str, Any], ...]:
    """Return every page of a list, within bounds."""
    entries: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await exchange.ask(method, {"cursor": cursor} if cursor else {})
        except McpCallError as error:
            if error.rpc_code == _NO_SUCH_METHOD:
                break
            raise
        listed = page.get(member)
        entries += [
            entry
            for entry in (listed if isinstance(listed, list) else ())
            if isinstance(entry, dict)
        ]
        cursor = page.get("nextCursor")
        if not cursor or len(entries) >= MAX_ENTRIES:
            break
    return tuple(entries[:MAX_ENTRIES])


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _modern_server_info(opened: dict[str, Any]) -> dict[str, Any]:
    meta = opened.get("_meta")
    info = meta.get(f"{META}serverInfo") if isinstance(meta, dict) else None
    return info if isinstance(info, dict) else {}
