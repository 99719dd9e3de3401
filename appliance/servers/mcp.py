"""A small MCP client: how the hub asks a hosted server what it can do, and calls its tools.

It goes through the gateway as any client does, so what it sees is what clients see. Every exchange opens a session and ends it:
a server that keeps sessions keeps none of ours.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from appliance.core.errors import FailedError, UnavailableError

REVISION = "2025-11-25"
MODERN_REVISION = "2026-07-28"
CLIENT_INFO = {"name": "mcp-host", "version": "1"}
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
_META = "io.modelcontextprotocol/"
_UNAVAILABLE = {502, 503, 504}
_NO_SUCH_METHOD = -32601
_GOOD = range(200, 300)


class McpUnavailableError(UnavailableError):
    """The gateway, or the server behind it, does not answer."""

    code = "mcp_unavailable"


class McpCallError(FailedError):
    """The server answered with an error.

    Args:
        rpc_code: Of the JSON-RPC error; 0 if the answer was none.
    """

    code = "mcp_call_failed"

    def __init__(
        self, detail: str, *, rpc_code: int = 0, hint: str | None = None
    ) -> None:
        """Keep the texts and the code."""
        super().__init__(detail, hint=hint)
        self.rpc_code = rpc_code


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
        session: Shared by the process.
        gateway_url: Such as ``http://127.0.0.1:4444``.
        key: Opens every server.
        list_patience_s: Seconds that a probe waits for each list besides the tools.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway_url: str,
        key: str,
        *,
        list_patience_s: float = LIST_PATIENCE_S,
    ) -> None:
        """Keep them."""
        self._list_patience_s = list_patience_s
        self._session = session
        self._gateway_url = gateway_url.rstrip("/")
        self._key = key

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
    ) -> AsyncIterator[tuple["_Exchange", dict[str, Any]]]:
        url = f"{self._gateway_url}/{place}/{name}/mcp"
        exchange = _Exchange(
            self._session, url, self._key, timeout_s, instance_id=instance_id
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
                f"The gateway at {self._gateway_url} does not answer: {error}.",
                hint="Is the gateway process running? MCP_GATEWAY_URL says where it is looked for.",
            ) from error


class _Exchange:
    """One session with one server."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        key: str,
        timeout_s: float,
        *,
        instance_id: int | None,
    ) -> None:
        self._session = session
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._instance_id = instance_id
        self._ids = itertools.count(1)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        self._session_id: str | None = None
        self.revision = REVISION

    async def open(self) -> dict[str, Any]:
        """Return what the server says when it is opened, in whichever era it lives."""
        params = {
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": CLIENT_INFO,
        }
        try:
            opened = await self.ask("initialize", params)
        except McpCallError:
            return await self._discover()
        self.revision = str(opened.get("protocolVersion", REVISION))
        self._headers["MCP-Protocol-Version"] = self.revision
        await self._post(
            {"jsonrpc": "2.0", "method": "notifications/initialized"}, None
        )
        return opened

    async def _discover(self) -> dict[str, Any]:
        """Open a server that knows only revisions without ``initialize``."""
        self.revision = MODERN_REVISION
        self._headers["MCP-Protocol-Version"] = MODERN_REVISION
        return await self.ask("server/discover", {})

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request and return its result."""
        request_id = next(self._ids)
        if self.revision == MODERN_REVISION:
            params = params | {"_meta": _modern_meta()}
        message = {
            "jsonrpc": "2.0",
            "id": request_id,
            "method": method,
            "params": params,
        }
        answer = await self._post(message, request_id)
        if answer is None:
            raise McpCallError(f"The server answered {method} with nothing.")
        if "error" in answer:
            raise _call_error(answer["error"])
        result = answer.get("result")
        return result if isinstance(result, dict) else {}

    async def close(self) -> None:
        """End the session, if the server keeps one."""
        if self._session_id is not None:
            headers = self._headers | {"Mcp-Session-Id": self._session_id}
            async with self._session.delete(
                self._url, headers=headers, timeout=self._timeout
            ):
                pass

    async def _post(
        self, message: dict[str, Any], request_id: int | None
    ) -> dict[str, Any] | None:
        headers = self._headers | self._routing_headers(message)
        if self._session_id is not None:
            headers["Mcp-Session-Id"] = self._session_id
        body = orjson.dumps(message)
        async with self._session.post(
            self._url, data=body, headers=headers, timeout=self._timeout
        ) as response:
            self._check_instance(response)
            self._session_id = response.headers.get("Mcp-Session-Id", self._session_id)
            if request_id is None and response.status in _GOOD:
                return None
            if response.content_type == "text/event-stream":
                return await _from_events(response, request_id)
            return _from_json(response.status, await response.read())

    def _routing_headers(self, message: dict[str, Any]) -> dict[str, str]:
        if self.revision != MODERN_REVISION:
            return {}
        name = message.get("params", {}).get("name")
        return {"Mcp-Method": message["method"]} | (
            {"Mcp-Name": name} if name and name.isascii() else {}
        )

    def _check_instance(self, response: aiohttp.ClientResponse) -> None:
        answered = response.headers.get("X-Gateway-Instance")
        if (
            self._instance_id is not None
            and answered is not None
            and answered != str(self._instance_id)
        ):
            raise McpUnavailableError("The gateway does not know the new instance yet.")


async def _more(
    exchange: _Exchange, capabilities: Mapping[str, Any], patience_s: float
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
    exchange: _Exchange, method: str, member: str
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


async def _from_events(
    response: aiohttp.ClientResponse, request_id: int | None
) -> dict[str, Any]:
    """Return the message that answers ``request_id``; what else comes on the way is not for us."""
    data: list[bytes] = []
    buffer = b""
    async for chunk in response.content.iter_any():
        *lines, buffer = (buffer + chunk).split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                message = _parsed(b"\n".join(data))
                data.clear()
                if message.get("id") == request_id and "method" not in message:
                    return message
    raise McpUnavailableError("The server's event stream ended without an answer.")


def _from_json(status: int, body: bytes) -> dict[str, Any]:
    message = _parsed(body)
    if status in _UNAVAILABLE:
        raise McpUnavailableError(
            _message(message.get("error")) or f"The gateway answered {status}."
        )
    if status not in _GOOD and "error" not in message:
        raise McpCallError(f"The server answered with HTTP status {status}.")
    return message


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def _call_error(error: object) -> McpCallError:
    code = error.get("code") if isinstance(error, dict) else None
    return McpCallError(
        _message(error) or "The server answered with an error that says nothing.",
        rpc_code=code if isinstance(code, int) else 0,
    )


def _message(error: object) -> str:
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _modern_meta() -> dict[str, Any]:
    return {
        f"{_META}protocolVersion": MODERN_REVISION,
        f"{_META}clientInfo": CLIENT_INFO,
        f"{_META}clientCapabilities": {},
    }


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _modern_server_info(opened: dict[str, Any]) -> dict[str, Any]:
    meta = opened.get("_meta")
    info = meta.get(f"{_META}serverInfo") if isinstance(meta, dict) else None
    return info if isinstance(info, dict) else {}
