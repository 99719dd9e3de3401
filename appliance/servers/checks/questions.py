"""What a server is asked, one after another, over the path that its users take."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import orjson

from appliance.servers.exchange import Exchange
from appliance.servers.health.model import Step, StepResult
from appliance.servers.health.policy import HealthPolicy
from appliance.servers.mcp_answers import McpCallError, McpUnavailableError
from appliance.servers.refusals import KNOWN

#: Words of the gateway that say something about itself, and nothing about the server.
_NOT_THE_SERVER = frozenset(
    {"bridge_unavailable", "engine_unavailable", "restarting", "starting"}
)
#: In the gateway's refusal of a tool that is held back.
_HELD = b'"tool_held"'
#: Of a server that answers 401, as it should.
SIGNIN = "It asks who calls: it serves those who sign in."
#: Seconds for saying goodbye to a server that has failed.
_GOODBYE_S = 2.0


class NobodyAskedError(Exception):
    """Something of ours stood between us and the server."""


class Conversation:
    """One check's questions to one server.

    Args:
        exchange: Asks.
        policy: What is asked besides, and how long all of it may take.
        is_modern: Begins with ``server/discover``, which costs the gateway no session; else with ``initialize``.
    """

    def __init__(
        self, exchange: Exchange, policy: HealthPolicy, *, is_modern: bool
    ) -> None:
        """Ask nothing yet."""
        self._exchange = exchange
        self._policy = policy
        self._is_modern = is_modern
        self._opened: dict[str, Any] = {}
        #: Whether it lets people in who sign in, and the hub is nobody.
        self._is_for_people = False

    async def hold(self) -> list[Step]:
        """Ask until something fails; return every step.

        Raises:
            NobodyAskedError: The gateway could not ask.
        """
        deadline = asyncio.get_running_loop().time() + self._policy.timeout_s
        questions: list[tuple[str, Callable[[], Awaitable[str | None]]]] = [
            ("open", self._open),
            ("tools/list", self._list_tools),
            ("canary", self._call_canary),
        ]
        steps: list[Step] = []
        is_well = True
        for name, question in questions:
            if not is_well:
                steps.append(Step(name, StepResult.SKIPPED))
                continue
            step = await self._ask(name, question, deadline)
            is_well = step.result is not StepResult.FAILED
            steps.append(step)
        await self._part(is_well=is_well)
        return steps

    async def _ask(
        self, name: str, question: Callable[[], Awaitable[str | None]], deadline: float
    ) -> Step:
        began = time.monotonic()
        try:
            async with asyncio.timeout_at(deadline):
                detail = await question()
        except TimeoutError:
            step = Step(
                name,
                StepResult.FAILED,
                f"no answer within {self._policy.timeout_s:g} s.",
                cause="timeout",
            )
        except aiohttp.ClientError as error:
            raise NobodyAskedError(f"The gateway does not answer: {error}.") from error
        except (McpCallError, McpUnavailableError) as error:
            step = _refused(name, error)
        else:
            is_asked = detail is not None
            result = StepResult.PASSED if is_asked else StepResult.SKIPPED
            step = Step(name, result, detail or "")
        return replace(step, duration_ms=(time.monotonic() - began) * 1000)

    async def _open(self) -> str:
        exchange = self._exchange
        try:
            opened = await (exchange.discover() if self._is_modern else exchange.open())
        except McpCallError as error:
            if error.gateway_code != KNOWN:
                raise
            self._is_for_people = True
            return SIGNIN
        self._opened = opened
        asked = "server/discover" if self._is_modern else "initialize"
        info = opened.get("serverInfo")
        name = str(info.get("name", "")) if isinstance(info, dict) else ""
        return f"{asked} was answered{f' by {name[:80]}' if name else ''}."

    async def _list_tools(self) -> str | None:
        """List the tools; of a server without any, the first of what else it announces."""
        if self._is_for_people:
            return None
        announced = self._opened.get("capabilities")
        if not isinstance(announced, dict):
            return "It announces nothing."
        for name in ("tools", "prompts", "resources"):
            if name in announced:
                return await self._list(name)
        return "It announces nothing."

    async def _list(self, name: str) -> str:
        try:
            page = await self._exchange.ask(f"{name}/list", {})
        except McpCallError as error:
            if error.gateway_code != KNOWN:
                raise
            self._is_for_people = True
            return SIGNIN
        listed = page.get(name)
        if not isinstance(listed, list):
            raise McpCallError(
                f"{name}/list was answered without {name}.", answer=orjson.dumps(page)
            )
        more = " on the first page" if page.get("nextCursor") else ""
        return f"{len(listed)} {name[:-1] if len(listed) == 1 else name}{more}."

    async def _call_canary(self) -> str | None:
        canary = self._policy.canary
        if canary is None or self._is_for_people:
            return None
        result = await self._exchange.ask(
            "tools/call", {"name": canary.tool, "arguments": canary.arguments}
        )
        if result.get("isError") is True:
            raise McpCallError(
                f"{canary.tool} was answered with an error.",
                answer=orjson.dumps(result),
            )
        return f"{canary.tool} was answered."

    async def _part(self, *, is_well: bool) -> None:
        """End the session, if one was opened; a server that fails is not waited for long."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(None if is_well else _GOODBYE_S):
                await self._exchange.close()


def _refused(name: str, error: McpCallError | McpUnavailableError) -> Step:
    if error.gateway_code in _NOT_THE_SERVER:
        raise NobodyAskedError(error.detail) from error
    if _HELD in error.answer:
        # The gateway lets nobody call a tool that changed until somebody has approved it: the server was not asked.
        return Step(name, StepResult.SKIPPED, "The tool is held back for review.")
    rpc_code = getattr(error, "rpc_code", 0)
    return Step(
        name,
        StepResult.FAILED,
        error.reason,
        # The gateway's own answers say in their text all that there is to say.
        answer=""
        if error.gateway_code
        else error.answer.decode("utf-8", errors="replace"),
        cause=error.gateway_code or (str(rpc_code) if rpc_code else error.code),
    )
