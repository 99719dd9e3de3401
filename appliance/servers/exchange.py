"""One session with one MCP server, over streamable HTTP, in whichever era the server lives."""

import itertools
from typing import Any

import aiohttp
import orjson

from appliance.servers.mcp_answers import (
    GOOD,
    McpCallError,
    McpUnavailableError,
    NonsenseError,
    call_error,
    from_events,
    from_json,
)

METHOD_NOT_FOUND = -32601
REVISION = "2025-11-25"
MODERN_REVISION = "2026-07-28"
CLIENT_INFO = {"name": "mcp-host", "version": "1"}
META = "io.modelcontextprotocol/"


class Gateway:
    """Where the hub finds the gateway, and what it shows there.

    Args:
        session: Shared by the process.
        url: Such as ``http://127.0.0.1:4444``.
        key: The hub's own; opens every server.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        """Keep them."""
        self.session = session
        self.url = url.rstrip("/")
        self._key = key

    @property
    def bearer(self) -> dict[str, str]:
        """The header that opens it."""
        return {"Authorization": f"Bearer {self._key}"}

    def exchange(
        self,
        name: str,
        timeout_s: float,
        *,
        place: str = "servers",
        instance_id: int | None = None,
        is_traced: bool = True,
    ) -> "Exchange":
        """Return a session that asks nothing yet.

        Args:
            name: Of the server, or of what else there is at ``place``.
            timeout_s: Seconds for each request.
            place: ``servers`` or ``bundles``.
            instance_id: The instance that must answer; ``None``: whichever does.
            is_traced: Whether it is a call that people may want to look at, unlike a check every few seconds.
        """
        return Exchange(
            self,
            f"{self.url}/{place}/{name}/mcp",
            timeout_s,
            instance_id=instance_id,
            is_traced=is_traced,
        )


class Exchange:
    """One session with one server.

    Args:
        gateway: Everything goes through it; its ``exchange`` makes these.
        url: The server's endpoint.
        timeout_s: Seconds for each request.
        instance_id: The instance that must answer; ``None``: whichever does.
        is_traced: Whether people may want to look at its calls.
    """

    def __init__(
        self,
        gateway: Gateway,
        url: str,
        timeout_s: float,
        *,
        instance_id: int | None,
        is_traced: bool,
    ) -> None:
        """Ask nothing yet."""
        self._session = gateway.session
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._instance_id = instance_id
        self._ids = itertools.count(1)
        self._headers = gateway.bearer | {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        if instance_id is not None:
            self._headers["X-Gateway-Instance"] = str(instance_id)
        if not is_traced:
            self._headers["X-Gateway-Untraced"] = "1"
        self._session_id: str | None = None
        self.revision = REVISION
        #: The instance that answered last, as the gateway says.
        self.answered: int | None = None

    async def open(self) -> dict[str, Any]:
        """Return what the server says when it is opened, in whichever era it lives."""
        params = {
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": CLIENT_INFO,
        }
        try:
            opened = await self.ask("initialize", params)
        except NonsenseError:
            # The gateway may remember what a server said once; that it speaks something else now must not be lost.
            raise
        except McpCallError as refused:
            try:
                return await self.discover()
            except McpCallError as error:
                # One that knows no server/discover lives in the other era, and has said there what is wrong with it.
                raise (
                    refused if error.rpc_code == METHOD_NOT_FOUND else error
                ) from error
        self.revision = str(opened.get("protocolVersion", REVISION))
        self._headers["MCP-Protocol-Version"] = self.revision
        await self._post(
            {"jsonrpc": "2.0", "method": "notifications/initialized"}, None
        )
        return opened

    async def discover(self) -> dict[str, Any]:
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
        if answer.get("error") is not None:
            raise call_error(answer)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise NonsenseError(
                f"The server answered {method} without a result.",
                answer=orjson.dumps(answer),
            )
        return result

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
            if request_id is None and response.status in GOOD:
                return None
            if response.content_type == "text/event-stream":
                return await from_events(response, request_id)
            return from_json(response.status, await response.read())

    def _routing_headers(self, message: dict[str, Any]) -> dict[str, str]:
        if self.revision != MODERN_REVISION:
            return {}
        name = message.get("params", {}).get("name")
        return {"Mcp-Method": message["method"]} | (
            {"Mcp-Name": name} if name and name.isascii() else {}
        )

    def _check_instance(self, response: aiohttp.ClientResponse) -> None:
        answered = response.headers.get("X-Gateway-Instance")
        if answered is not None and answered.isdigit():
            self.answered = int(answered)
        if (
            self._instance_id is not None
            and answered is not None
            and answered != str(self._instance_id)
        ):
            raise McpUnavailableError("The gateway does not know the new instance yet.")


def _modern_meta() -> dict[str, Any]:
    return {
        f"{META}protocolVersion": MODERN_REVISION,
        f"{META}clientInfo": CLIENT_INFO,
        f"{META}clientCapabilities": {},
    }
