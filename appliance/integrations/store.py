"""Queries about services. Every function runs inside ``database.run``."""

from collections.abc import Mapping, Sequence
from typing import Any

from peewee import IntegrityError

from appliance.core.clock import now
from appliance.integrations.errors import ServiceNotFoundError, VariableTakenError
from appliance.integrations.kinds import KINDS
from appliance.integrations.model import (
    Outcome,
    Service,
    ServiceKind,
    Variables,
    Wanted,
)
from appliance.integrations.tables import ServiceRow


def _service(row: ServiceRow) -> Service:
    tested = None
    if row.tested_at is not None:
        tested = Outcome(
            bool(row.test_ok), row.test_detail or "", row.test_ms or 0, row.tested_at
        )
    return Service(
        id=row.id,
        server_id=row.server_id,
        kind=ServiceKind(row.kind),
        name=row.name,
        prefix=row.prefix,
        settings=row.settings,
        plain=row.plain,
        secret_names=tuple(row.secret_names),
        created_by=row.created_by,
        created_at=row.created_at,
        updated_by=row.updated_by,
        updated_at=row.updated_at,
        tested=tested,
    )


def of_server(server_id: int) -> list[Service]:
    """Return a server's services by name."""
    query = ServiceRow.select().where(ServiceRow.server_id == server_id)
    return [_service(row) for row in query.order_by(ServiceRow.name)]


def get(server_id: int, service_id: int) -> Service:
    """Return one of a server's services.

    Raises:
        ServiceNotFoundError: It has none of that number.
    """
    row = ServiceRow.get_or_none(
        ServiceRow.server_id == server_id, ServiceRow.id == service_id
    )
    if row is None:
        raise ServiceNotFoundError(f"The server has no service {service_id}.")
    return _service(row)


def add(server_id: int, wanted: Wanted, variables: Variables, *, by: str) -> Service:
    """Add a service.

    Raises:
        VariableTakenError: Another service of the server has the name.
    """
    values = _values(wanted, variables, by)
    try:
        row = ServiceRow.create(
            server_id=server_id, created_by=by, created_at=now(), **values
        )
    except IntegrityError as error:
        raise _named(wanted) from error
    return _service(row)


def change(service: Service, wanted: Wanted, variables: Variables, *, by: str) -> None:
    """Change a service; what the last test said counts no more.

    Raises:
        VariableTakenError: Another service of the server has the name.
    """
    forgotten = dict.fromkeys(("tested_at", "test_ok", "test_detail", "test_ms"))
    values = {**_values(wanted, variables, by), **forgotten}
    try:
        ServiceRow.update(**values).where(ServiceRow.id == service.id).execute()
    except IntegrityError as error:
        raise _named(wanted) from error


def _named(wanted: Wanted) -> VariableTakenError:
    return VariableTakenError(
        f"The server has a service {wanted.name} already.",
        hint="Give this one another name.",
    )


def _values(wanted: Wanted, variables: Variables, by: str) -> dict[str, Any]:
    return {
        "kind": wanted.kind.value,
        "name": wanted.name,
        "prefix": wanted.prefix,
        "settings": dict(wanted.settings),
        "plain": dict(variables.plain),
        "secret_names": sorted(variables.secret),
        "updated_by": by,
        "updated_at": now(),
    }


def remove(service: Service) -> None:
    """Forget a service."""
    ServiceRow.delete().where(ServiceRow.id == service.id).execute()


def set_outcome(service_id: int, outcome: Outcome) -> None:
    """Keep what came of the last test."""
    ServiceRow.update(
        tested_at=outcome.at,
        test_ok=outcome.is_ok,
        test_detail=outcome.detail,
        test_ms=outcome.duration_ms,
    ).where(ServiceRow.id == service_id).execute()


def environment(server_id: int) -> Mapping[str, str]:
    """Return the variables of a server's services that are no secret."""
    found: dict[str, str] = {}
    for service in of_server(server_id):
        found |= service.plain
    return found


def destinations(server_id: int) -> Sequence[str]:
    """Return ``host:port`` of a server's services."""
    found = [
        str(place)
        for service in of_server(server_id)
        for place in KINDS[service.kind].destinations(service.settings)
    ]
    return list(dict.fromkeys(found))
