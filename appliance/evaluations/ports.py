"""What evaluations want to know of servers, which are a room above; ``bootstrap`` fills it in."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.accounts.model import Action, Principal
from appliance.evaluations.expectations.answer import Answer
from appliance.evaluations.suites import Version


@dataclass(frozen=True)
class Subject:
    """A server, and its newest version."""

    server_id: int
    server_name: str
    owner_id: int | None
    org_id: int | None
    server_type: str
    #: By what its newest version is certified; ``None``: there is nothing yet.
    digest: str | None
    #: Of that version: ``gold:npm``.
    tier: str
    #: The run of the ledger that made it; ``None``: nothing was built.
    artifact_run_id: int | None


#: Returns the server that somebody may do something with; runs inside ``database.run``. Raises ``ServerNotFoundError``
#: where they may not know of it, ``NotAllowedError`` where they may not do this.
Subjects = Callable[[Principal, int | str, Action], Subject]


@dataclass(frozen=True)
class Called:
    """What came of one call."""

    answer: Answer
    duration_ms: float
    size_bytes: int
    #: Why nobody answered; empty: somebody did.
    unavailable: str = ""


class Caller(Protocol):
    """Calls tools of one version, and of no other."""

    async def call(
        self, tool: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> Called:
        """Call a tool; that nobody answers, or refuses, is an answer too."""


class Targets(Protocol):
    """Finds versions of servers, and has them asked."""

    def version(
        self,
        server_id: int,
        *,
        number: int | None = None,
        deployment_id: int | None = None,
    ) -> Version:
        """Return a version of a server; runs inside ``database.run``.

        Args:
            server_id: Of the server.
            number: Of its deployment.
            deployment_id: The same by its id. Neither: the one that clients are sent to.

        Raises:
            NothingToAskError: There is none that could be asked.
        """

    def of_digest(self, digest: str) -> list[Version]:
        """Return the newest version of every server that is known by a digest and could be asked.

        Runs inside ``database.run``.
        """

    def open(
        self, version: Version, holder: str, within_s: float
    ) -> AbstractAsyncContextManager[Caller]:
        """Have a version ready to be asked, for as long as the context lasts.

        Args:
            version: Which.
            holder: Who asks, for people.
            within_s: Seconds in which it must answer.

        Raises:
            UnavailableError: It did not answer.
            DomainError: It cannot be asked.
        """


#: Hides a server's own secrets in what it said.
Hide = Callable[[int], Awaitable[Callable[[str], str]]]
