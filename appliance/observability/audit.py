"""The audit trail: every write and every denied attempt, who did it, and what became of it."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import structlog

from appliance.core.chain import Place, Walk
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.observability import audit_store
from appliance.observability.audit_chain import ChainReport, link_of
from appliance.observability.audit_store import ChainState
from appliance.observability.denials import DenialMeter
from appliance.observability.logs import current
from appliance.observability.model import AuditEvent, AuditFilter, Outcome
from appliance.observability.redaction import redact_items, redact_text

__all__ = ["Actor", "AuditEvent", "AuditFilter", "AuditTrail", "Outcome", "record"]

log = structlog.get_logger("audit")

#: Lines that one transaction chains, compares or removes.
AT_ONCE = 500
#: Characters that a reason may have.
MAX_REASON = 300
#: Addresses that a line names which sums refused attempts up.
MAX_ADDRESSES = 50
EVERYTHING = AuditFilter()


class Actor(Protocol):
    """Who does something; ``via`` and ``credential_id``, where there are such, say with what they showed who they are."""

    @property
    def user_id(self) -> int | None:
        """The person's number; ``None``: the system, or nobody known."""

    @property
    def name(self) -> str:
        """The e-mail, or ``system``."""


@dataclass(frozen=True)
class _Somebody:
    """Who has no account."""

    name: str
    via: str
    user_id: None = None
    credential_id: None = None


_SYSTEM = _Somebody("system", "system")
#: Who showed nothing by which they are known.
NOBODY = _Somebody("anonymous", "none")


def record(  # noqa: PLR0913 - the columns of one line
    actor: Actor,
    action: str,
    *,
    object_type: str,
    object_id: int | None = None,
    object_name: str = "",
    outcome: Outcome = Outcome.ALLOWED,
    details: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Write one line of the trail; runs inside ``database.run``, so that a write and its line come together or not at all.

    The request's id, address and reason are those bound for the log (``request_id``, ``address``, ``audit_reason``).

    Args:
        before: What the write changes, as it was; of two mappings, only what differs is kept.
        after: The same as it is now.
        reason: Why; otherwise what came with the request.
    """
    was, became = changes(before, after)
    audit_store.add(
        at=now(),
        actor_id=actor.user_id,
        actor=actor.name,
        via=getattr(actor, "via", ""),
        credential_id=getattr(actor, "credential_id", None),
        action=action,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name,
        outcome=Outcome(outcome).value,
        request_id=current("request_id"),
        address=current("address"),
        reason=redact_text(reason or current("audit_reason"))[:MAX_REASON],
        details=redact_items(details or {}),
        before=was,
        after=became,
    )


def changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what differs, as it was and as it is, with secrets hidden; one side alone is kept whole.

    A secret that changed is there on both sides, hidden, so that the change itself shows.
    """
    if before is None or after is None:
        return (
            None if before is None else redact_items(before),
            None if after is None else redact_items(after),
        )
    names = {*before, *after}
    differ = {name for name in names if before.get(name) != after.get(name)}
    return (
        redact_items({name: before[name] for name in before if name in differ}),
        redact_items({name: after[name] for name in after if name in differ}),
    )


class AuditTrail:
    """Reads the trail, writes what happened outside a transaction, and keeps its chain.

    Args:
        keep_days: Days after which lines go; 0: never.
    """

    def __init__(self, database: Database, *, keep_days: int = 0) -> None:
        """Keep the database."""
        self._database = database
        self._keep_days = keep_days
        self._denials = DenialMeter()

    async def record(self, actor: Actor, action: str, **fields: Any) -> None:
        """Write one line in a transaction of its own, for attempts that were refused."""
        await self._database.run(record, actor, action, **fields)

    async def denied(
        self, actor: Actor | None, action: str, *, address: str, **fields: Any
    ) -> None:
        """Write that an attempt was refused, unless there were too many from its address: those are summed up."""
        if self._denials.take(address, int(time.monotonic() // 60)):
            await self.record(actor or NOBODY, action, outcome=Outcome.DENIED, **fields)

    async def sum_up(self) -> None:
        """Write how many refused attempts became no lines of their own; for the clock."""
        found = self._denials.unwritten()
        if not found:
            return
        shown = found[:MAX_ADDRESSES]
        await self.record(
            NOBODY,
            "request.denied_more",
            object_type="request",
            outcome=Outcome.DENIED,
            details={
                "attempts": sum(item.count for item in found),
                "addresses": {item.address: item.count for item in shown},
            },
        )

    async def list(
        self, *, before: int | None = None, limit: int = 50, **wanted: Any
    ) -> list[AuditEvent]:
        """Return lines of the trail, newest first.

        Args:
            before: Only lines older than the one of this id: the cursor.
            limit: How many.
            **wanted: Fields of an ``AuditFilter``.
        """
        return await self._database.run(
            audit_store.newest, AuditFilter(**wanted), before=before, limit=limit
        )

    async def export(
        self, wanted: AuditFilter = EVERYTHING
    ) -> AsyncIterator[AuditEvent]:
        """Yield the lines that there are now, oldest first, each with its place in the chain."""
        await self.chain()
        chained = await self._database.run(audit_store.state)
        last = 0
        while found := await self._database.run(
            audit_store.in_order,
            wanted,
            after=last,
            up_to=chained.end.seq,
            limit=AT_ONCE,
        ):
            for event in found:
                yield event
            last = found[-1].seq or 0

    # -- the chain

    async def chain(self) -> None:
        """Give every line that was committed its place in the chain; for the clock."""
        while await self._database.run(audit_store.chain_more, AT_ONCE) == AT_ONCE:
            pass

    async def verify(self, known: Place | None = None) -> ChainReport:
        """Compare every line with its hash.

        Args:
            known: A place in the chain that somebody wrote down: without one, whoever rewrites all lines to the end and the
                end itself is not found out.
        """
        await self.chain()
        state, walk = await self._walk(known)
        if walk.breaks and (await self.chain_state()).pruned != state.pruned:
            state, walk = await self._walk(known)  # its beginning went meanwhile
        report = ChainReport(
            walk.count, state.end, state.pruned, tuple(walk.breaks), now()
        )
        problem = report.breaks[0].message if report.breaks else ""
        if known is None:  # else what was written down may be what is wrong
            await self._database.run(audit_store.note_check, report.checked_at, problem)
        # The log is kept elsewhere than the trail, so it also tells which end there was when.
        tell = log.info if report.is_intact else log.error
        tell("audit.checked", lines=report.lines, end=str(report.end), problem=problem)
        return report

    async def _walk(self, known: Place | None) -> tuple[ChainState, Walk]:
        state = await self._database.run(audit_store.state)
        walk = Walk("line", start=state.pruned, known=known)
        while found := await self._database.run(
            audit_store.in_order,
            EVERYTHING,
            after=walk.last.seq,
            up_to=state.end.seq,
            limit=AT_ONCE,
        ):
            walk.over(map(link_of, found))
        walk.end(state.end)
        return state, walk

    async def check(self) -> None:
        """Verify the whole chain; for the clock."""
        await self.verify()

    async def chain_state(self) -> ChainState:
        """Return the end of the chain and what the last check found."""
        return await self._database.run(audit_store.state)

    async def prune(self) -> None:
        """Remove lines that are older than they are kept; the chain begins after them and can be checked as before."""
        if not self._keep_days:
            return
        await self.chain()
        before = now() - timedelta(days=self._keep_days)
        gone = 0
        while True:
            count, last = await self._database.run(audit_store.prune, before, AT_ONCE)
            gone += count
            if count < AT_ONCE:
                break
        if gone:
            await self.record(
                _SYSTEM,
                "audit.prune",
                object_type="audit",
                details={"lines": gone, "last": last.seq, "last_hash": last.row_hash},
            )
