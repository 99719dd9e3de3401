"""A version of a server that answers what a test says: the port of evaluations, without containers."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.evaluations.errors import NothingToAskError
from appliance.evaluations.expectations.answer import Answer
from appliance.evaluations.ports import Called
from appliance.evaluations.suites import Version
from tests.fakes.runs import digest

VERSION = Version(
    server_id=1,
    server_name="time",
    owner_id=1,
    org_id=None,
    deployment_id=7,
    number=3,
    is_candidate=False,
    digest=digest(3),
    tier="gold:npm",
    artifact_run_id=None,
    tools=({"name": "now", "annotations": {"readOnlyHint": True}}, {"name": "set"}),
)


def says(text: str, **more: Any) -> Called:
    """Return what comes of a call that is answered with a text."""
    result = {"content": [{"type": "text", "text": text}], **more}
    return Called(Answer(result), 12.5, len(text))


def away(why: str) -> Called:
    """Return what comes of a call that nobody answers."""
    return Called(Answer(), 1.0, 0, unavailable=why)


@dataclass
class FakeTargets:
    """One server, whose versions answer what they are told to.

    ``answer`` is asked for what comes of each call; it may raise, as a process that dies would.
    """

    answer: Callable[[str, Mapping[str, Any]], Called]
    live: Version | None = VERSION
    #: Versions beside the live one, by number.
    others: dict[int, Version] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    opened: int = 0

    def version(
        self,
        server_id: int,
        *,
        number: int | None = None,
        deployment_id: int | None = None,
    ) -> Version:
        """Return what is wanted, if it is there."""
        known = [*([self.live] if self.live else []), *self.others.values()]
        for item in known:
            if item.number == number or item.deployment_id == deployment_id:
                return replace(item, server_id=server_id)
        if self.live is None or number is not None or deployment_id is not None:
            raise NothingToAskError("Nothing of time runs.")
        return replace(self.live, server_id=server_id)

    def of_digest(self, wanted: str) -> list[Version]:
        """Return the live version, if it is of this digest."""
        return [self.live] if self.live and self.live.digest == wanted else []

    @asynccontextmanager
    async def open(
        self, _version: Version, _holder: str, _within_s: float
    ) -> AsyncIterator["FakeTargets"]:
        """Answer for as long as the context lasts."""
        self.opened += 1
        yield self

    async def call(
        self, tool: str, arguments: Mapping[str, Any], _timeout_s: float
    ) -> Called:
        """Answer a call."""
        self.calls.append((tool, dict(arguments)))
        return self.answer(tool, arguments)
