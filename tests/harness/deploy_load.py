"""Clients that call without a pause while versions of a server take each other's place, and note everything that goes wrong.

They run in a thread of their own: short calls at a steady rate, long ones that are always in flight, and open streams that are
opened again whenever they end. Half of the short calls are made in sessions that were opened before the first deployment.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.harness.appliance import Created
from tests.harness.mcp import INITIALIZE
from tests.harness.plain_calls import PlainCaller, message_in

#: Of a whole call, beyond what its tool takes.
SLACK_S = 60
#: Connections of the short calls; so many may be in flight at once.
CALLERS = 20
_SHOWN = 5


@dataclass
class Noted:
    """What the clients of one server saw."""

    #: Short and long calls that were answered, by version.
    answered: Counter[str] = field(default_factory=Counter)
    long_answered: Counter[str] = field(default_factory=Counter)
    #: What failed, in the server's or the gateway's words; when, in seconds of the monotonic clock.
    failed: list[tuple[float, str]] = field(default_factory=list)
    #: Streams that ended in order and were opened again; those that broke.
    moved: int = 0
    #: Seconds between the last word on a stream and the first on its successor.
    gaps: list[float] = field(default_factory=list)
    #: Seconds that short calls took.
    took: list[float] = field(default_factory=list)

    def failures(self) -> str:
        """Return the first few in words."""
        return "; ".join(text for _, text in self.failed[:_SHOWN])


def _message(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def text_of(result: dict[str, Any]) -> str:
    """Return what a tool said; raises ``ValueError`` where it failed."""
    said = str(result["content"][0]["text"])
    if result["isError"]:
        raise ValueError(said)
    return said


async def require_stream(response: aiohttp.ClientResponse) -> None:
    """Raise ``ValueError`` where no stream was opened."""
    if response.status != 200:
        raise ValueError(f"{response.status} {await response.text()}")


class Load:
    """Clients of one server.

    Args:
        server: To call.
        rate: Short calls a second.
        long: Calls that are in flight at every moment, each of ``long_s`` seconds.
        streams: Sessions, each with an open stream.
    """

    def __init__(
        self, server: Created, *, rate: float, long: int, long_s: float, streams: int
    ) -> None:
        self.noted = Noted()
        self._server = server
        self._rate, self._long, self._long_s = rate, long, long_s
        self._streams = streams
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), self.noted.failures()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        self._headers = headers = {
            "Authorization": f"Bearer {self._server.key}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": str(INITIALIZE["protocolVersion"]),
        }
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
            self._http = http
            sessions = [await self._open() for _ in range(self._streams)]
            streams = [asyncio.create_task(self._listen(item)) for item in sessions]
            self._ready.set()
            calls = [
                asyncio.create_task(self._keep_long(sessions, index))
                for index in range(self._long)
            ]
            calls += [
                asyncio.create_task(
                    self._keep_short(
                        number, sessions[number % len(sessions)] if number % 2 else ""
                    )
                )
                for number in range(CALLERS)
            ]
            await asyncio.gather(*calls)
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    async def _keep_short(self, number: int, session: str) -> None:
        """Call at a steady rate on a connection of its own; what the box cannot do in time is not made up for."""
        caller = PlainCaller(
            self._server.endpoint,
            self._headers | ({"Mcp-Session-Id": session} if session else {}),
            _message("tools/call", {"name": "version", "arguments": {}}),
        )
        pause_s = CALLERS / self._rate
        due = time.monotonic() + number / self._rate
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pause_s, time.monotonic())
            await self._note_short(caller)
        caller.close()

    async def _note_short(self, caller: PlainCaller) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(SLACK_S):
                said = text_of(await caller.call())
        except (OSError, LookupError, ValueError) as error:  # TimeoutError is one
            caller.close()
            self.noted.failed.append((time.monotonic(), repr(error)[:300]))
            return
        self.noted.answered[said] += 1
        self.noted.took.append(time.monotonic() - began)

    async def _keep_long(self, sessions: list[str], index: int) -> None:
        await asyncio.sleep(index * self._long_s / self._long)
        while not self._stop.is_set():
            session = sessions[index % len(sessions)] if index % 2 else ""
            await self._call(session, self._long_s)

    async def _call(self, session: str, seconds: float) -> None:
        arguments = {"seconds": seconds}
        try:
            async with asyncio.timeout(seconds + SLACK_S):
                answer = await self._ask(
                    "tools/call", {"name": "version", "arguments": arguments}, session
                )
            said = text_of(answer["result"])
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
            self.noted.failed.append((time.monotonic(), repr(error)[:300]))
            return
        self.noted.long_answered[said] += 1

    async def _open(self) -> str:
        async with self._post("initialize", INITIALIZE, "") as response:
            body = await response.read()
            session = str(response.headers.get("Mcp-Session-Id", ""))
        if not session:
            raise ValueError(f"no session: {response.status} {body[:300]!r}")
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with self._http.post(
            self._server.endpoint, json=note, headers={"Mcp-Session-Id": session}
        ) as response:
            await response.read()
        return session

    async def _ask(self, method: str, params: dict[str, Any], session: str) -> Any:
        async with self._post(method, params, session) as response:
            body = await response.read()
        found = json.loads(message_in(body))
        if "result" not in found:
            raise ValueError(f"{response.status} {body[:300]!r}")
        return found

    def _post(self, method: str, params: dict[str, Any], session: str) -> Any:
        message = _message(method, params)
        headers = {"Mcp-Session-Id": session} if session else {}
        return self._http.post(
            self._server.endpoint,
            json=message,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _listen(self, session: str) -> None:
        """Hold a stream open, and note whether it broke or moved."""
        heard = 0.0
        headers = {"Mcp-Session-Id": session, "Accept": "text/event-stream"}
        while True:
            try:
                async with self._http.get(
                    self._server.endpoint,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response:
                    await require_stream(response)
                    async for _ in response.content.iter_any():
                        if heard:
                            self.noted.gaps.append(time.monotonic() - heard)
                        heard = time.monotonic()
            except (aiohttp.ClientError, ValueError) as error:
                text = f"stream: {error!r}"[:300]
                self.noted.failed.append((time.monotonic(), text))
                await asyncio.sleep(0.2)
            else:
                self.noted.moved += 1
