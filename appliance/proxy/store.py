"""How the front door is, as one row. Every function runs inside ``database.run``."""

from dataclasses import asdict
from datetime import datetime

from appliance.infra.database import proxy
from appliance.proxy.model import DoorState, NginxState, Quarantined
from appliance.proxy.tables import ProxyStateRow

CHANNEL = "proxy"
_ID = 1


def get() -> DoorState | None:
    """Return what was seen last; ``None``: no controller has ever looked."""
    row = ProxyStateRow.get_or_none(ProxyStateRow.id == _ID)
    if row is None:
        return None
    return DoorState(
        seen_at=row.seen_at,
        nginx=NginxState(row.nginx),
        version=row.version,
        generation=row.generation,
        reloaded_at=row.reloaded_at,
        reload_s=row.reload_s,
        problem=row.problem,
        quarantined=tuple(Quarantined(**item) for item in row.quarantined),
        certificates=row.certificates,
        wildcards=row.wildcards,
        requests=row.requests,
        connections=row.connections,
        reload_asked_at=row.reload_asked_at,
    )


def put(state: DoorState) -> None:
    """Keep what was just seen; that somebody asked for a reload stays."""
    values = {
        "seen_at": state.seen_at,
        "nginx": state.nginx.value,
        "version": state.version,
        "generation": state.generation,
        "reloaded_at": state.reloaded_at,
        "reload_s": state.reload_s,
        "problem": state.problem,
        "quarantined": [asdict(item) for item in state.quarantined],
        "certificates": state.certificates,
        "wildcards": state.wildcards,
        "requests": state.requests,
        "connections": state.connections,
    }
    ProxyStateRow.insert(id=_ID, **values).on_conflict(
        conflict_target=[ProxyStateRow.id], update=values
    ).execute()


def ask_for_reload(at: datetime) -> bool:
    """Note that somebody wants a reload, and wake the controller; return whether one has ever looked."""
    asked = ProxyStateRow.update(reload_asked_at=at).where(ProxyStateRow.id == _ID)
    proxy.execute_sql("SELECT pg_notify(%s, '')", (CHANNEL,))
    return bool(asked.execute())


def answered(at: datetime) -> None:
    """Note that what was asked for until ``at`` is done."""
    ProxyStateRow.update(reload_asked_at=None).where(
        (ProxyStateRow.id == _ID) & (ProxyStateRow.reload_asked_at <= at)
    ).execute()
