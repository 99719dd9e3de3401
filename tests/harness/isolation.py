"""People who use the same servers at the same time, tell each of them secrets, and keep every byte that comes back.

Whatever a person receives, on any way, may hold that person's own secrets and nobody
else's. ``World.crossed`` looks for others.
"""

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

SESSION = "2025-11-25"
STATELESS = "2026-07-28"
_META = "io.modelcontextprotocol/"
CAPABILITIES: dict[str, Any] = {"elicitation": {"form": {}}}
#: Nothing of what is asked here takes longer; a call that does is a finding of its own.
PATIENCE_S = 30
#: How long a stream may take to bring what was said before it is looked at.
SETTLE_S = 0.3


@dataclass(eq=False)
class Person:
    """One principal at one server or bundle, in one era.

    Two persons may have the same principal; then they may see each other's notifications, but not answers.
    """

    name: str
    principal: str
    key: str
    url: str
    era: str
    #: Before the names of tools.
    prefix: str = ""
    own: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    session: str = ""
    request_states: list[str] = field(default_factory=list)
    #: Request states of others that this person has sent.
    presented: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def secret(self) -> str:
        """Return a new secret of this person's, and remember it."""
        made = f"secret-{secrets.token_hex(8)}"
        self.own.append(made)
        return made

    # -- what a person does

    async def open(self, http: aiohttp.ClientSession) -> None:
        """Come in: with a session, or without anything."""
        if self.era == STATELESS:
            await self.request(http, "server/discover", {})
            return
        params = {
            "protocolVersion": SESSION,
            "capabilities": CAPABILITIES,
            "clientInfo": {"name": self.name, "version": "1"},
        }
        await self.request(http, "initialize", params)
        await self.post(http, {"method": "notifications/initialized"})

    async def whisper(self, http: aiohttp.ClientSession) -> None:
        """Tell a secret; progress, log and resource notifications tell it too."""
        secret = self.secret()
        await self.call(http, "whisper", secret)

    async def repeat(self, http: aiohttp.ClientSession) -> None:
        """Tell the last secret again: now those hear of it who subscribed to the resource of that name."""
        await self.call(http, "whisper", self.own[-1] if self.own else self.secret())

    async def ask(self, http: aiohttp.ClientSession) -> None:
        """Tell a secret to a tool that asks back; the answer is a secret too."""
        await self.call(http, "ask", self.secret())

    async def subscribe(self, http: aiohttp.ClientSession) -> None:
        """Ask to hear of a resource whose name is one's own secret."""
        if self.own and self.era == SESSION:
            params = {"uri": f"note://{self.own[-1]}"}
            await self.request(http, "resources/subscribe", params)

    async def look(self, http: aiohttp.ClientSession) -> None:
        """List what there is; a server that remembers names one's own secrets here."""
        await self.request(http, "tools/list", {})

    async def read(self, http: aiohttp.ClientSession) -> None:
        """Read a resource whose name is a secret."""
        await self.request(http, "resources/read", {"uri": f"note://{self.secret()}"})

    async def steal(self, http: aiohttp.ClientSession, other: "Person") -> None:
        """Try what the other was given: a session, a request state, the id of a question."""
        if other.principal == self.principal:
            return
        if other.session:
            stolen = {"Mcp-Session-Id": other.session}
            await self.post(http, {"id": 1, "method": "tools/list"}, headers=stolen)
            await self.post(http, {"id": "ask-1", "result": {}}, headers=stolen)
            async with http.delete(self.url, headers=self.headers() | stolen) as gone:
                self.statuses.append(gone.status)
        for state in other.request_states:
            params = {"name": f"{self.prefix}ask", "arguments": {"secret": "x"}}
            params |= {"requestState": state, "inputResponses": {"word": {}}}
            if self.era == STATELESS:
                self.presented.append(state)
                await self.request(http, "tools/call", params)

    # -- how

    async def call(self, http: aiohttp.ClientSession, tool: str, secret: str) -> None:
        """Call a tool, answering what it asks."""
        params: dict[str, Any] = {
            "name": f"{self.prefix}{tool}",
            "arguments": {"secret": secret},
        }
        params["_meta"] = {"progressToken": f"token-{next(self._ids)}"}
        result = await self.request(http, "tools/call", params)
        while isinstance(result, dict) and result.get("resultType") == "input_required":
            state = result["requestState"]
            self.request_states.append(state)
            answer = {"action": "accept", "content": {"word": self.secret()}}
            responses = dict.fromkeys(result["inputRequests"], answer)
            again = params | {"requestState": state, "inputResponses": responses}
            result = await self.request(http, "tools/call", again)

    async def request(
        self, http: aiohttp.ClientSession, method: str, params: dict[str, Any]
    ) -> Any:
        """Send a request and return its result; ``None`` if it was refused."""
        message = {"id": next(self._ids), "method": method, "params": params}
        answers = await self.post(http, message)
        found = [item for item in answers if item.get("id") == message["id"]]
        return found[0].get("result") if found else None

    async def post(
        self,
        http: aiohttp.ClientSession,
        message: dict[str, Any],
        *,
        headers: dict[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Send a message, read everything that comes, answer what is asked, and return the messages."""
        message = self.dressed(message)
        sent = self.headers(message) | (headers or {})
        found = []
        async with http.post(self.url, json=message, headers=sent) as answer:
            self.statuses.append(answer.status)
            if message.get("method") == "initialize":
                self.session = answer.headers.get("Mcp-Session-Id", "")
            async for body in _messages(answer, self.received):
                found.append(body)
                if "method" in body and "id" in body:
                    await self.reply(http, body)
        return found

    async def reply(self, http: aiohttp.ClientSession, asked: dict[str, Any]) -> None:
        """Answer a question of the server's with a secret."""
        result = {"action": "accept", "content": {"word": self.secret()}}
        await self.post(http, {"id": asked["id"], "result": result})

    async def listen(self, http: aiohttp.ClientSession) -> None:
        """Hold a stream open and keep what comes, for ever."""
        if self.era == SESSION:
            async with http.get(self.url, headers=self.headers()) as answer:
                async for _ in _messages(answer, self.received):
                    pass
            return
        wanted = dict.fromkeys(
            ("toolsListChanged", "promptsListChanged", "resourcesListChanged"), True
        )
        message = self.dressed(
            {
                "id": next(self._ids),
                "method": "subscriptions/listen",
                "params": {"notifications": wanted},
            }
        )
        async with http.post(
            self.url, json=message, headers=self.headers(message)
        ) as answer:
            async for _ in _messages(answer, self.received):
                pass

    def dressed(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return ``message`` as the person's era writes it."""
        message = {"jsonrpc": "2.0", **message}
        if self.era == STATELESS and "method" in message:
            params = dict(message.get("params") or {})
            params["_meta"] = {
                **params.get("_meta", {}),
                f"{_META}protocolVersion": STATELESS,
                f"{_META}clientCapabilities": CAPABILITIES,
                f"{_META}clientInfo": {"name": self.name, "version": "1"},
                f"{_META}logLevel": "debug",
            }
            message["params"] = params
        return message

    def headers(self, message: dict[str, Any] | None = None) -> dict[str, str]:
        """Return the headers of a request."""
        found = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self.era,
        }
        if self.session:
            found["Mcp-Session-Id"] = self.session
        if self.era == STATELESS and message and "method" in message:
            found["Mcp-Method"] = message["method"]
            params = message.get("params") or {}
            name = params.get("name") or params.get("uri")
            if name:
                found["Mcp-Name"] = name
        return found


async def _messages(
    answer: aiohttp.ClientResponse, kept: list[bytes]
) -> AsyncIterator[dict[str, Any]]:
    """Yield each JSON-RPC message of an answer as it comes, and keep every byte."""
    kept.append(repr(sorted(answer.headers.items())).encode())
    if answer.content_type != "text/event-stream":
        body = await answer.read()
        kept.append(body)
        with contextlib.suppress(ValueError):
            found = json.loads(body)
            for item in found if isinstance(found, list) else [found]:
                yield item
        return
    rest = b""
    async for piece in answer.content.iter_any():
        kept.append(piece)
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and line[5:].strip():
                yield json.loads(line[5:])


@dataclass
class World:
    """Everybody, and what each of them does."""

    people: list[Person]

    async def run(self, steps: Iterable[tuple[int, str, int]]) -> Self:
        """Let everybody come in and listen, and then do ``steps``, each person's in order and all people at once.

        Args:
            steps: Number of a person, name of a method of ``Person``, number of another person.
        """
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
            await asyncio.gather(*(person.open(http) for person in self.people))
            listeners = [
                asyncio.create_task(person.listen(http)) for person in self.people
            ]
            plans: dict[int, list[tuple[str, int]]] = {}
            for number, action, other in steps:
                plans.setdefault(number % len(self.people), []).append((action, other))
            await asyncio.gather(*(self._live(http, *plan) for plan in plans.items()))
            await asyncio.sleep(SETTLE_S)
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)
        return self

    async def _live(
        self, http: aiohttp.ClientSession, number: int, plan: list[tuple[str, int]]
    ) -> None:
        person = self.people[number]
        for action, other in plan:
            if action == "steal":
                await person.steal(http, self.people[other % len(self.people)])
            else:
                await getattr(person, action)(http)

    def crossed(self) -> list[str]:
        """Return a line for each secret that somebody of another principal received."""
        found = []
        for person in self.people:
            everything = b"".join(person.received)
            for other in self.people:
                if other.principal == person.principal:
                    continue
                found += [
                    f"{person.name} ({person.principal}) received {secret} of {other.name} ({other.principal})"
                    for secret in other.own
                    if secret.encode() in everything
                ]
        return found

    def secrets(self) -> set[str]:
        """Return all secrets that were told."""
        return {secret for person in self.people for secret in person.own}

    def heard(self) -> int:
        """Return how many of their own secrets people received; a test in which nobody hears anything proves nothing."""
        return sum(
            secret.encode() in b"".join(person.received)
            for person in self.people
            for secret in person.own
        )
