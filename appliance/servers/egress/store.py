"""Policies, attempts and the process's state as rows. Every function runs inside ``database.run``."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from appliance.core.clock import now
from appliance.core.egress import EgressMode, EgressPolicy, as_dict
from appliance.infra.database import proxy
from appliance.secrets import store as secret_store
from appliance.servers.config import config_from_dict
from appliance.servers.egress.declared import declared, effective
from appliance.servers.egress.model import Attempt, Enforcement
from appliance.servers.egress.tables import (
    EgressAttemptRow,
    EgressPolicyRow,
    EgressStateRow,
)
from appliance.sources.spec import from_dict as source_from_dict

#: The process gives a sign of life every half minute.
SILENT_AFTER = timedelta(seconds=100)
#: Lines that a page shows.
SHOWN = 200
NOT_RUNNING = (
    "The egress process does not run, so servers reach nothing. Start the appliance with mcp-host up, "
    "or look into its log."
)

_SERVER = "SELECT source, config FROM servers WHERE id = %s"

#: ``host:port`` of a server's service integrations; filled in by whoever knows of them.
Services = Callable[[int], Sequence[str]]


def no_services(server_id: int) -> Sequence[str]:  # noqa: ARG001 - as whoever knows of services has it
    """Return what a server without services needs."""
    return ()


_services: list[Services] = [no_services]


def use_services(services: Services) -> None:
    """Have ``services`` say from now on what service integrations need."""
    _services[:] = [services]


def services_of(server_id: int) -> tuple[str, ...]:
    """Return ``host:port`` of a server's service integrations."""
    return tuple(_services[0](server_id))


def refresh(server_id: int) -> None:
    """Bring what counts for a server up to its configuration, settings and services; written only if it changed."""
    row = proxy.execute_sql(_SERVER, (server_id,)).fetchone()
    if row is None:
        return
    source, config = source_from_dict(row[0]), config_from_dict(row[1])
    secrets = [item.name for item in secret_store.of_server(server_id)]
    found = declared(source, config, secrets)
    policy = effective(config.egress, source, found, services_of(server_id))
    wanted = {**as_dict(policy), "declared": found}
    before = EgressPolicyRow.get_or_none(EgressPolicyRow.server_id == server_id)
    if before and all(getattr(before, name) == wanted[name] for name in wanted):
        return
    EgressPolicyRow.insert(server_id=server_id, **wanted, updated_at=now()).on_conflict(
        conflict_target=[EgressPolicyRow.server_id],
        update={**wanted, "updated_at": now()},
    ).execute()


def counting(server_id: int) -> tuple[EgressPolicy, Mapping[str, str]]:
    """Return what counts for a server, and what it declares."""
    found = EgressPolicyRow.select().where(EgressPolicyRow.server_id == server_id)
    row = found.get_or_none()
    if row is None:
        # One of an earlier version, which has not been started since.
        refresh(server_id)
        row = found.get()
    policy = EgressPolicy(
        mode=EgressMode(row.mode),
        hosts=tuple(row.hosts),
        private=tuple(row.private),
        learn=row.learn,
    )
    return policy, row.declared


def attempts(
    server_id: int, *, allowed: bool, since: datetime | None = None
) -> tuple[Attempt, ...]:
    """Return where a server went, or was kept from going, the latest first."""
    rows = (
        EgressAttemptRow.select()
        .where(
            EgressAttemptRow.server_id == server_id, EgressAttemptRow.allowed == allowed
        )
        .order_by(EgressAttemptRow.last_at.desc(), EgressAttemptRow.destination)
        .limit(SHOWN)
    )
    if since:
        rows = rows.where(EgressAttemptRow.last_at >= since)
    return tuple(
        Attempt(
            destination=row.destination,
            port=row.port,
            protocol=row.protocol,
            allowed=row.allowed,
            reason=row.reason,
            attempts=row.attempts,
            bytes_sent=row.bytes_sent,
            bytes_received=row.bytes_received,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in rows
    )


def denied_since(server_id: int, moment: datetime) -> tuple[Attempt, ...]:
    """Return what a server was denied since a moment, the latest first."""
    return attempts(server_id, allowed=False, since=moment)


def forget_denied(server_id: int) -> int:
    """Remove what a server was denied, and return how many lines went."""
    gone = EgressAttemptRow.delete().where(
        EgressAttemptRow.server_id == server_id,
        EgressAttemptRow.allowed == False,  # noqa: E712 - SQL
    )
    return int(gone.execute())


def moment() -> datetime:
    """Return the database's time, by which the process writes."""
    found: datetime = proxy.execute_sql("SELECT clock_timestamp()").fetchone()[0]
    return found


def is_applied(since: datetime) -> bool:
    """Return whether the process has taken over what was written before ``since``, or will not soon."""
    row = EgressStateRow.get_or_none(EgressStateRow.id == 1)
    return row is None or not row.enforced or row.at >= since


def enforcement() -> Enforcement:
    """Return whether policies are enforced on this box."""
    row = EgressStateRow.get_or_none(EgressStateRow.id == 1)
    if row is None or row.at < now() - SILENT_AFTER:
        return Enforcement(enforced=False, problem=NOT_RUNNING)
    return Enforcement(row.enforced, row.problem)
