"""One check of one server: whether its process is there, what it answers, and what its users' calls tell."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from appliance.core.clock import now
from appliance.core.errors import UnavailableError
from appliance.runtimes.model import Instance, InstanceState, LogLine
from appliance.runtimes.ports import Executor
from appliance.servers.checks.due import Due
from appliance.servers.checks.questions import (
    SIGNIN,
    Conversation,
    NobodyAskedError,
)
from appliance.servers.exchange import Gateway
from appliance.servers.health.model import HealthState, Liveness, Step, StepResult
from appliance.servers.health.pace import recent_s
from appliance.servers.health.traffic import judge
from appliance.servers.health.verdict import Finding
from appliance.servers.refusals import UNKNOWN, Signins
from appliance.servers.wording import MAX_LINE, MAX_LINES

#: Hides a server's own secrets in what it said.
Hide = Callable[[int], Awaitable[Callable[[str], str]]]
REMOTE = "remote"
_STDIO = "stdio"
#: For the client library; the conversation has its own deadline, which is earlier.
_SLACK_S = 5.0
#: Steps that ask the server something.
_ASKED = frozenset({"open", "tools/list", "canary"})
TAIL_LINES = 50
_WORDS = {
    Liveness.PAUSED: "its container is paused.",
    Liveness.ENDED: "its container has ended.",
    Liveness.MISSING: "its container is gone.",
}
_THERE = {
    Liveness.ALIVE: "Its process runs.",
    Liveness.REMOTE: "Somebody else runs it.",
    Liveness.UNKNOWN: "The container engine does not say.",
}


class Checker:
    """Checks servers.

    Args:
        gateway: Where it is.
        executor: Tells of processes.
        hide: Takes secrets out of answers; ``None``: by their looks alone.
        signins: Finds out whether a server that answers 401 is one where people sign in.
    """

    def __init__(
        self,
        gateway: Gateway,
        executor: Executor,
        *,
        hide: Hide | None = None,
        signins: Signins | None = None,
    ) -> None:
        """Keep the collaborators."""
        self._gateway = gateway
        self._executor = executor
        self._hide = hide
        self._signins = signins

    async def check(self, due: Due, *, looks_first: bool = False) -> Finding:
        """Ask a server everything, and return what was found; never raises for what a server does.

        Args:
            due: The server.
            looks_first: Whether the engine has said that something happened to its process.
        """
        began, began_at = time.monotonic(), now()
        liveness = Liveness.UNKNOWN
        if looks_first or due.health.state is HealthState.FAILING:
            # One that is paused need not be asked, and waited for, again and again.
            liveness = await self._liveness(due)
        is_conclusive = True
        steps: list[Step] = []
        if liveness not in _WORDS:
            steps, is_conclusive = await self._converse(due)
        if liveness is Liveness.UNKNOWN:
            liveness = await self._liveness_after(due, steps)
        steps = [_alive(liveness), *steps]
        if is_conclusive:
            steps.append(_calls(due, steps))
            steps = await self._with_output(due, steps, began_at)
        return Finding(
            server_id=due.server_id,
            deployment_id=due.deployment_id,
            instance_id=due.instance_id,
            at=now(),
            duration_ms=(time.monotonic() - began) * 1000,
            liveness=liveness,
            steps=tuple(await self._hidden(due.server_id, steps)),
            is_conclusive=is_conclusive,
        )

    async def _converse(self, due: Due) -> tuple[list[Step], bool]:
        """Return the steps, and whether they say anything about the server."""
        exchange = self._gateway.exchange(
            due.name, due.policy.timeout_s + _SLACK_S, is_traced=False
        )
        # A stdio server is opened once in its life, by the bridge: a session with it would be two requests that ask nobody.
        conversation = Conversation(
            exchange, due.policy, is_modern=due.transport == _STDIO
        )
        try:
            steps = await conversation.hold()
        except NobodyAskedError as reason:
            return [Step("open", StepResult.SKIPPED, str(reason))], False
        if exchange.answered not in {None, due.instance_id}:
            told = "Another instance answered: it was replaced meanwhile."
            return [Step("open", StepResult.SKIPPED, told)], False
        if await self._has_begun_to_ask(due, steps):
            return [Step("open", StepResult.PASSED, SIGNIN)], True
        return steps, True

    async def _has_begun_to_ask(self, due: Due, steps: list[Step]) -> bool:
        """Return whether a remote server that let everybody in wants people to sign in now."""
        is_refused = any(step.cause == UNKNOWN for step in steps)
        # One that is known to fail was looked into before.
        is_news = due.health.state is not HealthState.FAILING
        if self._signins is None or not (is_refused and is_news):
            return False
        return due.executor == REMOTE and await self._signins.recognise(
            due.server_id, ""
        )

    async def _liveness_after(self, due: Due, steps: list[Step]) -> Liveness:
        """Return whether the process is there: who has answered is, and of others the executor knows."""
        # The gateway remembers what a stdio server said at its opening, so that alone proves nothing.
        has_answered = any(
            step.result is StepResult.PASSED and step.name != "open" for step in steps
        )
        if has_answered and due.executor != REMOTE:
            return Liveness.ALIVE
        return await self._liveness(due)

    async def _liveness(self, due: Due) -> Liveness:
        if due.executor == REMOTE:
            return Liveness.REMOTE
        try:
            instances = await self._executor.instances(due.server_id)
        except UnavailableError:
            return Liveness.UNKNOWN
        return liveness_of(instances, due.instance)

    async def _with_output(
        self, due: Due, steps: list[Step], since: datetime
    ) -> list[Step]:
        """Return the steps; one that failed without an answer has what the server printed meanwhile instead."""
        silent = [
            step
            for step in steps
            if step.result is StepResult.FAILED
            and not step.answer
            and step.name in _ASKED
        ]
        if not silent or due.executor == REMOTE:
            return steps
        try:
            lines = await self._executor.tail(due.instance, lines=TAIL_LINES)
        except UnavailableError:
            return steps
        printed = stray_output(lines, since)
        return [
            replace(step, answer=printed) if step in silent else step for step in steps
        ]

    async def _hidden(self, server_id: int, steps: list[Step]) -> list[Step]:
        # What is well says nothing of the server's own making but names.
        has_failed = any(step.result is StepResult.FAILED for step in steps)
        if self._hide is None or not has_failed:
            return steps
        hide = await self._hide(server_id)
        return [
            replace(step, answer=hide(step.answer), detail=hide(step.detail))
            for step in steps
        ]


def liveness_of(instances: list[Instance], name: str) -> Liveness:
    """Return what an executor's list says of one instance."""
    found = next((item for item in instances if item.name == name), None)
    if found is None:
        return Liveness.MISSING
    if found.state is not InstanceState.RUNNING:
        return Liveness.ENDED
    return Liveness.PAUSED if found.is_paused else Liveness.ALIVE


def stray_output(lines: Sequence[LogLine], since: datetime) -> str:
    """Return what was printed since a moment and is no message to a client: those are nobody else's to read."""
    texts = [
        line.text.strip()[:MAX_LINE]
        for line in lines
        if line.at >= since and line.text.strip() and not _is_message(line)
    ]
    return "\n".join(texts[-MAX_LINES:])


def _is_message(line: LogLine) -> bool:
    return line.stream == "stdout" and line.text.lstrip()[:1] in {"{", "["}


def _alive(liveness: Liveness) -> Step:
    if liveness in _WORDS:
        words, cause = _WORDS[liveness], liveness.value
        return Step("alive", StepResult.FAILED, words, cause=cause)
    is_known = liveness is Liveness.ALIVE
    result = StepResult.PASSED if is_known else StepResult.SKIPPED
    return Step("alive", result, _THERE[liveness])


def _calls(due: Due, steps: list[Step]) -> Step:
    has_canary = any(
        step.name == "canary" and step.result is StepResult.PASSED for step in steps
    )
    if any(step.result is StepResult.FAILED for step in steps):
        return Step("calls", StepResult.SKIPPED)
    return judge(due.traffic, now(), recent_s(due.policy), has_canary=has_canary)
