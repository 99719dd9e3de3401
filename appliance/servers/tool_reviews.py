"""What people do about tools that are not those that were approved."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.servers import manifest_store
from appliance.servers import store as servers
from appliance.servers.access import record_write, visible_server, writable_server
from appliance.servers.model import Server
from appliance.servers.pinning import (
    change_store,
    decision_store,
    review,
    store,
    undoing,
)
from appliance.servers.pinning.errors import NothingWaitsError
from appliance.servers.pinning.findings import Finding, Severity, worst
from appliance.servers.pinning.model import (
    Change,
    Decision,
    Difference,
    Pin,
    Reading,
    State,
)
from appliance.servers.pinning.policy import PinningMode
from appliance.servers.pinning.rules import names
from appliance.servers.pinning.scan import scan

MAX_REASON = 2000
#: Definitions of which it is remembered whether something bad stands out.
MAX_REMEMBERED = 5_000


_T = TypeVar("_T", Pin, Change)


@dataclass(frozen=True)
class Reviewed(Generic[_T]):
    """Something that was approved, or waits for it, and what stands out in its words."""

    item: _T
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Review:
    """How a server's tools stand."""

    server: Server
    mode: PinningMode
    #: When they were first approved; ``None``: nothing was read yet.
    since: datetime | None
    pins: tuple[Reviewed[Pin], ...]
    changes: tuple[Reviewed[Change], ...]
    #: Newest first.
    decisions: tuple[Decision, ...]

    @property
    def waiting(self) -> tuple[Reviewed[Change], ...]:
        """What nobody has decided about."""
        return tuple(
            entry for entry in self.changes if entry.item.state is State.WAITING
        )

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the tools that clients do not get."""
        return tuple(
            entry.item.difference.name for entry in self.changes if entry.item.is_held
        )

    @property
    def worst(self) -> Severity | None:
        """The worst that stands out anywhere."""
        found = [item for entry in self.pins for item in entry.findings]
        found += [item for entry in self.changes for item in entry.findings]
        return worst(found)


@dataclass(frozen=True)
class Notice:
    """What somebody who looks at the server ought to know, without any detail."""

    #: Changes that nobody has decided about, if the server's setting is to tell of them.
    waiting: int
    #: Names of the tools that clients do not get.
    held: tuple[str, ...]
    #: Names of definitions in whose words something bad stands out.
    suspicious: tuple[str, ...]


class ToolReviews:
    """Shows and takes decisions about definitions on behalf of a principal; a server is named by its id or its name.

    Whoever may not know of a server gets ``ServerNotFoundError``; whoever may see but not change it gets
    ``ForbiddenError``.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database
        #: By hash; the same words are looked through once.
        self._is_bad: dict[str, bool] = {}

    async def notice(self, principal: Principal, server: int | str) -> Notice:
        """Return what ought to be known of the server's tools at a glance."""

        def read() -> Notice:
            found = visible_server(principal, server)
            mode = found.config.pinning
            changes = _changes(found)
            waiting = [item for item in changes if item.state is State.WAITING]
            given = [(pin.name, pin.hash, pin.value) for pin in store.pins(found.id)]
            given += [
                (item.difference.name, item.difference.hash, item.difference.after)
                for item in changes
            ]
            return Notice(
                waiting=0 if mode is PinningMode.SERVE else len(waiting),
                held=tuple(item.difference.name for item in changes if item.is_held),
                suspicious=tuple(
                    dict.fromkeys(
                        name or "instructions"
                        for name, hashed, value in given
                        if self._stands_out(hashed, value)
                    )
                ),
            )

        return await self._database.run(read)

    def _stands_out(self, hashed: str, value: Any) -> bool:
        if hashed not in self._is_bad:
            if len(self._is_bad) >= MAX_REMEMBERED:
                self._is_bad.clear()
            self._is_bad[hashed] = worst(scan(value)) is Severity.HIGH
        return self._is_bad[hashed]

    async def get(self, principal: Principal, server: int | str) -> Review:
        """Return how the server's tools stand."""
        return await self._database.run(
            lambda: _review(visible_server(principal, server))
        )

    async def approve(
        self,
        principal: Principal,
        server: int | str,
        changes: Collection[int] | None = None,
        *,
        reason: str = "",
    ) -> Review:
        """Have what changed hold from now on.

        Args:
            principal: Who says so.
            server: Of which server.
            changes: Numbers of what was looked at; ``None``: all that there is.
            reason: Why.

        Raises:
            NothingWaitsError: All is as it was approved.
            ChangeGoneError: One of them is not there any more.
        """
        return await self._decide(
            principal, server, changes, action="approve", reason=reason
        )

    async def reject(
        self,
        principal: Principal,
        server: int | str,
        changes: Collection[int] | None = None,
        *,
        reason: str = "",
    ) -> Review:
        """Hold back what changed, whatever the server's setting is, until it is approved; arguments as with ``approve``.

        Raises:
            NothingWaitsError: There is nothing that could be held back.
            ChangeGoneError: One of them is not there any more.
        """
        return await self._decide(
            principal, server, changes, action="reject", reason=reason
        )

    async def undo(
        self,
        principal: Principal,
        server: int | str,
        decision: int,
        *,
        reason: str = "",
    ) -> Review:
        """Take a decision back.

        Raises:
            DecisionNotFoundError: There is none of this number.
            DecisionStandsError: It cannot be taken back.
        """

        def write() -> Review:
            found = writable_server(principal, server)
            reading, manifest = _live(found)
            taken = undoing.undo(
                reading,
                decision,
                manifest,
                by=principal.name,
                reason=_checked(reason),
            )
            told = {
                "decision": taken.id,
                "action": taken.action.value,
                "reason": reason,
            }
            record_write(principal, "server.tools_undo", found, told)
            return _review(found)

        return await self._database.run(write)

    async def _decide(
        self,
        principal: Principal,
        server: int | str,
        changes: Collection[int] | None,
        *,
        action: str,
        reason: str,
    ) -> Review:
        decide = review.approve if action == "approve" else review.reject

        def write() -> Review:
            found = writable_server(principal, server)
            reading, _ = _live(found)
            about = decide(reading, changes, by=principal.name, reason=_checked(reason))
            record_write(
                principal, f"server.tools_{action}", found, _details(about, reason)
            )
            return _review(found)

        return await self._database.run(write)


def _checked(reason: str) -> str:
    if len(reason) > MAX_REASON or "\0" in reason:
        raise InvalidError.field("reason", f"use at most {MAX_REASON} characters")
    return reason.strip()


def _details(about: list[Difference], reason: str) -> dict[str, Any]:
    return {
        "changes": names(about),
        "hashes": {item.name: item.hash for item in about[:20]},
        "reason": reason,
    }


def _live(server: Server) -> tuple[Reading, dict[str, Any]]:
    found = manifest_store.live_reading(server.id)
    if found is None:
        raise NothingWaitsError(f"Nothing of {server.name} is live.")
    return found


def _review(server: Server) -> Review:
    others = manifest_store.tool_names(server)
    pins = store.pins(server.id)
    changes = change_store.changes(
        server.id, holds_back=server.config.pinning is PinningMode.QUARANTINE
    )
    decisions = decision_store.decisions(server.id)
    return Review(
        server=server,
        mode=server.config.pinning,
        since=min((pin.approved_at for pin in pins), default=None),
        pins=tuple(Reviewed(pin, scan(pin.value, others=others)) for pin in pins),
        changes=tuple(
            Reviewed(item, scan(item.difference.after, others=others))
            for item in changes
        ),
        decisions=tuple(decisions),
    )


def held_tools(server_id: int) -> frozenset[str]:
    """Return the tools of a server that clients do not get; runs inside ``database.run``."""
    server = servers.find_by_id(server_id)
    if server is None:
        return frozenset()
    return frozenset(item.difference.name for item in _changes(server) if item.is_held)


def _changes(server: Server) -> list[Change]:
    return change_store.changes(
        server.id, holds_back=server.config.pinning is PinningMode.QUARANTINE
    )
