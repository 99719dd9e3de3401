"""Queries about servers; rows in, model objects out. Every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import Case, IntegrityError, fn

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.accounts.orgs.model import Owner
from appliance.artifacts.model import ServerFacts
from appliance.artifacts.records import default_type
from appliance.core.clock import now
from appliance.infra import prepared
from appliance.infra.database import proxy
from appliance.observability.events import publish_in_transaction
from appliance.policy import store as policy_store
from appliance.runtimes.model import CANDIDATE, Transport
from appliance.servers import manifest_store
from appliance.servers.config import config_as_dict, config_from_dict
from appliance.servers.deploys.lock_store import require_unlocked
from appliance.servers.deploys.model import Trigger
from appliance.servers.deploys.policy import DeployPolicy
from appliance.servers.egress import store as egress_store
from appliance.servers.errors import ServerNameTakenError, ServerNotFoundError
from appliance.servers.health import store as health_store
from appliance.servers.model import (
    Deployment,
    DeploymentState,
    DesiredState,
    InstanceRecord,
    NewServer,
    Server,
    ServerConfig,
    Status,
)
from appliance.servers.quotas.standing import require_build
from appliance.servers.tables import DeploymentRow, InstanceRow, ServerRow
from appliance.sources.model import RemoteSource, Source
from appliance.sources.spec import as_dict as source_as_dict
from appliance.sources.spec import from_dict as source_from_dict

_FACTS = "SELECT id, owner_id, server_type, org_id FROM servers WHERE id = ANY(%s)"


def _server(row: ServerRow) -> Server:
    return Server(
        id=row.id,
        name=row.name,
        owner_id=row.owner_id,
        server_type=row.server_type,
        source=source_from_dict(row.source),
        config=config_from_dict(row.config),
        desired_state=DesiredState(row.desired_state),
        status=Status(row.status),
        status_reason=row.status_reason,
        status_since=row.status_since,
        deployment_id=row.deployment_id,
        endpoint_key_prefix=row.endpoint_key_prefix,
        crashes=row.crashes,
        last_crash_at=row.last_crash_at,
        org_id=row.org_id,
        created_at=row.created_at,
    )


def deployment_of(row: DeploymentRow) -> Deployment:
    """Return a row as a model object."""
    return Deployment(
        id=row.id,
        server_id=row.server_id,
        number=row.number,
        state=DeploymentState(row.state),
        reason=row.reason,
        source=source_from_dict(row.source),
        config=config_from_dict(row.config),
        image=row.image,
        resolved=row.resolved,
        manifest=row.manifest,
        manifest_at=row.manifest_at,
        missing_settings=tuple(row.missing_settings),
        requested_by=row.requested_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
        trigger=Trigger(row.trigger),
        made_of=row.made_of,
        live_at=row.live_at,
        wanted_digest=row.wanted_digest,
        running_digest=row.running_digest,
        compared_at=row.compared_at,
    )


def get(server_id: int) -> Server:
    """Return one server.

    Raises:
        ServerNotFoundError: There is none of this id.
    """
    server = find_by_id(server_id)
    if server is None:
        raise ServerNotFoundError(f"There is no server {server_id}.")
    return server


def find_by_id(server_id: int) -> Server | None:
    """Return the server of this id, if there still is one."""
    row = ServerRow.get_or_none(ServerRow.id == server_id)
    return _server(row) if row else None


def visible_ids(sight: Sight) -> list[int]:
    """Return the numbers of the servers that ``sight`` shows."""
    rows = sights.shown(
        ServerRow.select(ServerRow.id),
        sight,
        owner=ServerRow.owner_id,
        org=ServerRow.org_id,
        server=ServerRow.id,
    )
    return [row.id for row in rows]


def find(name: str) -> Server | None:
    """Return the server of this name, if any."""
    row = ServerRow.get_or_none(ServerRow.name == name)
    return _server(row) if row else None


def page(
    *,
    sight: Sight,
    query: str,
    status: Status | None,
    after: str,
    limit: int,
    org_id: int | None = None,
) -> list[Server]:
    """Return up to ``limit`` servers in order of name, from the first name after ``after``.

    Args:
        sight: Only what this shows.
        query: Part of the name, any case; empty: all.
        status: Only those of this status.
        after: A name.
        limit: At most so many.
        org_id: Only this organisation's; ``None``: all.
    """
    rows = (
        ServerRow.select()
        .where(ServerRow.name > after)
        .order_by(ServerRow.name)
        .limit(limit)
    )
    rows = sights.shown(
        rows, sight, owner=ServerRow.owner_id, org=ServerRow.org_id, server=ServerRow.id
    )
    if query:
        rows = rows.where(ServerRow.name.contains(query))
    if status is not None:
        rows = rows.where(ServerRow.status == status.value)
    if org_id is not None:
        rows = rows.where(ServerRow.org_id == org_id)
    return [_server(row) for row in rows]


def published(
    *,
    sight: Sight,
    query: str,
    prefix: str,
    after: str,
    limit: int,
    since: datetime | None,
) -> list[tuple[str, datetime, datetime | None, dict[str, Any]]]:
    """Return servers that are wanted running and live, by name from the first name after ``after``.

    Args:
        sight: What may be shown besides the listed ones.
        query: Part of ``prefix`` and name together, any case; empty: all.
        prefix: Stands before every name.
        after: A name.
        limit: At most so many.
        since: Only what went live then or later.

    Returns:
        Rows of name, when it was created, when it went live, and its card.
    """
    live = (DeploymentRow.server_id == ServerRow.id) & (
        DeploymentRow.state == DeploymentState.LIVE.value
    )
    rows = (
        ServerRow.select(
            ServerRow.name,
            ServerRow.created_at,
            DeploymentRow.finished_at,
            DeploymentRow.card,
        )
        .join(DeploymentRow, on=live)
        .where(
            ServerRow.name > after,
            ServerRow.desired_state == DesiredState.RUNNING.value,
        )
        .order_by(ServerRow.name)
        .limit(limit)
    )
    rows = _listed_or_shown(rows, sight)
    if query:
        rows = rows.where(fn.CONCAT(prefix, ServerRow.name).contains(query))
    if since is not None:
        rows = rows.where(DeploymentRow.finished_at >= since)
    found: Any = rows.tuples()
    return list(found)


def _listed_or_shown(rows: Any, sight: Sight) -> Any:
    listed = ServerRow.config.contains({"listed": True})
    theirs = sights.among(sight, owner=ServerRow.owner_id, org=ServerRow.org_id)
    if sight.servers is not None:
        narrowed = ServerRow.id.in_(sight.servers)
        theirs = narrowed if sight.everything else narrowed & theirs
    elif sight.everything:
        return rows
    return rows.where(listed | theirs)


def count(owner: Owner) -> int:
    """Return how many servers belong to a person or an organisation."""
    whose = ServerRow.org_id == owner.org_id
    if owner.org_id is None:
        whose = ServerRow.org_id.is_null() & (ServerRow.owner_id == owner.user_id)
    return int(ServerRow.select().where(whose).count())


def give(server_id: int, *, owner_id: int, org_id: int | None) -> None:
    """Write to whom a server belongs."""
    ServerRow.update(owner_id=owner_id, org_id=org_id, updated_at=now()).where(
        ServerRow.id == server_id
    ).execute()


def all_ids() -> list[int]:
    """Return the id of every server."""
    return [row.id for row in ServerRow.select(ServerRow.id).order_by(ServerRow.id)]


def facts(server_ids: Collection[int]) -> dict[int, ServerFacts]:
    """Return what the ledger wants to know of these servers; those that are gone are left out."""
    # The marketplace asks for fifty at a time: one value however many ids, and no rows of peewee's own.
    found = prepared.execute(_FACTS, (list(server_ids),)).fetchall()
    return {
        server_id: ServerFacts(owner_id, server_type, org_id)
        for server_id, owner_id, server_type, org_id in found
    }


def add(
    new: NewServer,
    *,
    name: str,
    owner_id: int,
    key_hash: bytes,
    key_prefix: str,
    org_id: int | None = None,
) -> Server:
    """Insert a server that wants to run.

    Raises:
        ServerNameTakenError: Another server has the name.
    """
    try:
        row = ServerRow.create(
            name=name,
            owner_id=owner_id,
            org_id=org_id,
            server_type=new.server_type or default_type(new.source),
            source=source_as_dict(new.source),
            config=config_as_dict(new.config),
            desired_state=DesiredState.RUNNING.value,
            status=Status.QUEUED.value,
            status_reason="",
            status_since=now(),
            endpoint_key_hash=key_hash,
            endpoint_key_prefix=key_prefix,
            crashes=0,
            created_at=now(),
            updated_at=now(),
        )
    except IntegrityError as error:
        raise ServerNameTakenError(
            f"A server named {name} exists already.",
            hint="Choose another name or delete that server.",
        ) from error
    health_store.begin(row.id, row.status)
    egress_store.refresh(row.id)
    publish_in_transaction("server.created", row.id)
    return _server(row)


def add_deployment(  # noqa: PLR0913 - each says something of its own
    server: Server,
    *,
    requested_by: str,
    trigger: Trigger = Trigger.REDEPLOY,
    source: Source | None = None,
    reason: str = "",
    like: Deployment | None = None,
    config: ServerConfig | None = None,
) -> Deployment:
    """Insert a pending deployment of the server as it is configured now; an older pending one is cancelled.

    Args:
        server: The server.
        requested_by: Who wants it.
        trigger: By what it is started.
        source: What is deployed; ``None``: the server's own source.
        reason: Why it is another one.
        like: Whose image and source are taken, so that nothing is built.
        config: ``None``: the server's own.

    Raises:
        DeployLockedError: The server is locked, and ``trigger`` is one that locks refuse.
        BuildMinutesReachedError: Something would be built, and this month's minutes of the owner's are used up.
        DiskQuotaReachedError: Something would be built, and nothing more of the owner's is kept.
    """
    if trigger.is_lockable:
        require_unlocked(server.id, server.name)
    if like is None and trigger.is_asked_for and not isinstance(server.source, RemoteSource):  # fmt: skip
        require_build(server.builds_for)
    cancel_pending(server.id, "A newer deployment was asked for.")
    number = (
        DeploymentRow.select(fn.MAX(DeploymentRow.number))
        .where(DeploymentRow.server_id == server.id)
        .scalar()
        or 0
    )
    row = DeploymentRow.create(
        server_id=server.id,
        number=number + 1,
        state=DeploymentState.PENDING.value,
        reason=reason,
        source=source_as_dict(source or (like.source if like else server.source)),
        config=config_as_dict(config or server.config),
        image=like.image if like else None,
        resolved=like.resolved if like else {},
        made_of=(like.made_of or like.number) if like else None,
        missing_settings=[],
        requested_by=requested_by,
        trigger=trigger.value,
        wanted_digest="",
        running_digest="",
        created_at=now(),
    )
    publish_in_transaction("server.deployment", server.id, {"number": row.number})
    return deployment_of(row)


def cancel_pending(server_id: int, reason: str) -> None:
    """Mark what is pending as cancelled, and let the gateway forget what was tried of it."""
    cancelled = (
        DeploymentRow.update(
            state=DeploymentState.CANCELLED.value, reason=reason, finished_at=now()
        )
        .where(
            DeploymentRow.server_id == server_id,
            DeploymentRow.state == DeploymentState.PENDING.value,
        )
        .returning(DeploymentRow.id)
        .execute()
    )
    forget_deployments([row.id for row in cancelled])


def deployments(server_id: int, *, limit: int = 20) -> list[Deployment]:
    """Return the newest deployments, newest first."""
    rows = (
        DeploymentRow.select()
        .where(DeploymentRow.server_id == server_id)
        .order_by(DeploymentRow.number.desc())
        .limit(limit)
    )
    return [deployment_of(row) for row in rows]


def deployment_in(server_id: int, *states: DeploymentState) -> Deployment | None:
    """Return the newest deployment in one of ``states``; no states given: the newest of all."""
    rows = DeploymentRow.select().where(DeploymentRow.server_id == server_id)
    if states:
        rows = rows.where(DeploymentRow.state.in_([state.value for state in states]))
    row = rows.order_by(DeploymentRow.number.desc()).first()
    return deployment_of(row) if row else None


def deployments_in(
    server_ids: Collection[int], *states: DeploymentState
) -> dict[int, Deployment]:
    """Return for each server what ``deployment_in`` would, in one query; a server without one is left out."""
    rows = DeploymentRow.select().where(DeploymentRow.server_id.in_(server_ids))
    if states:
        rows = rows.where(DeploymentRow.state.in_([state.value for state in states]))
    newest = rows.distinct(DeploymentRow.server_id).order_by(
        DeploymentRow.server_id, DeploymentRow.number.desc()
    )
    return {row.server_id: deployment_of(row) for row in newest}


def get_deployment(deployment_id: int) -> Deployment:
    """Return one deployment.

    Raises:
        ServerNotFoundError: It went with its server.
    """
    row = DeploymentRow.get_or_none(DeploymentRow.id == deployment_id)
    if row is None:
        raise ServerNotFoundError(f"There is no deployment {deployment_id}.")
    return deployment_of(row)


def failed_servers() -> dict[int, tuple[str, str]]:
    """Return the servers that should run and are given up: number to name and reason."""
    wanted = ServerRow.desired_state == DesiredState.RUNNING.value
    failed = ServerRow.status == Status.ERROR.value
    columns = (ServerRow.id, ServerRow.name, ServerRow.status_reason)
    found: Any = ServerRow.select(*columns).where(wanted & failed).tuples()
    return {number: (name, reason) for number, name, reason in found}


def deployments_referred() -> list[int]:
    """Return the deployments whose images must stay: pending, live, what can be gone back to, and what shares their images."""
    found: Any = DeploymentRow.raw(_REFERRED, DeployPolicy().retain).tuples()
    return [deployment for (deployment,) in found]


# What was built for one deployment may run for another, so whatever has a kept one's image is kept.
_REFERRED = """
WITH kept AS (
    SELECT d.id, d.server_id, d.image FROM deployments d WHERE d.state IN ('pending', 'live')
    UNION ALL
    SELECT b.id, b.server_id, b.image FROM (
        SELECT d.id, d.server_id, d.image,
               row_number() OVER (PARTITION BY d.server_id ORDER BY d.live_at DESC NULLS LAST, d.number DESC) AS place,
               coalesce((s.config -> 'deploys' ->> 'retain')::int, %s) AS retain
        FROM deployments d JOIN servers s ON s.id = d.server_id
        WHERE d.state IN ('superseded', 'rolled-back')
    ) b WHERE b.place <= b.retain
)
SELECT id FROM kept
UNION
SELECT d.id FROM deployments d JOIN kept k ON k.server_id = d.server_id AND k.image = d.image AND d.image <> ''
"""


def image_sources() -> list[str]:
    """Return the images that servers, or deployments that must stay, are made of as others published them."""
    reference = DeploymentRow.source["image"]
    of_deployments = DeploymentRow.select(reference).where(
        DeploymentRow.source["kind"] == "image",
        DeploymentRow.id.in_(deployments_referred()),
    )
    of_servers = ServerRow.select(ServerRow.source["image"]).where(
        ServerRow.source["kind"] == "image"
    )
    found: Any = [*of_deployments.tuples(), *of_servers.tuples()]
    return [str(image) for (image,) in found if image]


def images_of(server_id: int) -> list[str]:
    """Return every image that a deployment of the server used."""
    rows = (
        DeploymentRow.select(DeploymentRow.image)
        .where(
            DeploymentRow.server_id == server_id,
        )
        .distinct()
    )
    return [row.image for row in rows if row.image]


def records(server_id: int) -> tuple[InstanceRecord, ...]:
    """Return what the gateway was told of the server's instances."""
    rows = InstanceRow.select().where(InstanceRow.server_id == server_id)
    return tuple(
        InstanceRecord(
            deployment_id=row.deployment_id,
            executor=row.executor,
            name=row.name,
            container_id=row.container_id,
            transport=Transport(row.transport),
            address=row.address,
            id=row.id,
            leaving_since=row.leaving_since,
            leave_by=row.leave_by,
            purpose=row.purpose,
            decision_id=row.decision_id,
        )
        for row in rows
    )


def set_desired(server_id: int, desired: DesiredState) -> Server:
    """Write what is wanted; crashes so far are forgiven."""
    ServerRow.update(
        desired_state=desired.value, crashes=0, last_crash_at=None, updated_at=now()
    ).where(ServerRow.id == server_id).execute()
    return get(server_id)


def set_config(server_id: int, config: Mapping[str, Any]) -> Server:
    """Write the configuration that the next deployment takes."""
    ServerRow.update(config=dict(config), updated_at=now()).where(
        ServerRow.id == server_id
    ).execute()
    health_store.pace(server_id, config)
    egress_store.refresh(server_id)
    return get(server_id)


def forget_environment(server_id: int, names: Sequence[str]) -> None:
    """Take variables from the configurations of all deployments: their values are secret from now on."""
    for name in names:
        proxy.execute_sql(
            "UPDATE deployments SET config = config #- ARRAY['environment', %s] WHERE server_id = %s",
            (name, server_id),
        )


def set_source(server_id: int, source: Source) -> Server:
    """Change where the server comes from, for deployments from now on."""
    ServerRow.update(source=source_as_dict(source), updated_at=now()).where(
        ServerRow.id == server_id
    ).execute()
    return get(server_id)


def archives_in_use() -> set[str]:
    """Return the digests of archives that servers, or what may still be built for them, are made of."""
    of_deployments = DeploymentRow.select(DeploymentRow.source["archive"]).where(
        DeploymentRow.source["kind"] == "archive",
        DeploymentRow.id.in_(deployments_referred())
        | (DeploymentRow.state == DeploymentState.PENDING.value),
    )
    of_servers = ServerRow.select(ServerRow.source["archive"]).where(
        ServerRow.source["kind"] == "archive"
    )
    found: Any = [*of_deployments.tuples(), *of_servers.tuples()]
    return {str(digest) for (digest,) in found}


def set_key(server_id: int, *, key_hash: bytes, key_prefix: str) -> None:
    """Replace the endpoint key."""
    ServerRow.update(
        endpoint_key_hash=key_hash, endpoint_key_prefix=key_prefix, updated_at=now()
    ).where(ServerRow.id == server_id).execute()


def set_status(server_id: int, status: Status, reason: str = "") -> None:
    """Write the observed status, note it in the history and broadcast it; saying the same again changes nothing."""
    row = ServerRow.get_or_none(ServerRow.id == server_id)
    if row is None or (row.status, row.status_reason) == (status.value, reason):
        return
    # Who changes it at the same moment goes first or second, and the history tells in which order.
    row = ServerRow.select().where(ServerRow.id == server_id).for_update().get()
    ServerRow.update(
        status=status.value,
        status_reason=reason,
        status_since=_since(status),
        updated_at=now(),
    ).where(ServerRow.id == server_id).execute()
    health_store.note_change(
        server_id,
        before=row.status,
        after=status.value,
        reason=reason,
        deployment_id=row.deployment_id,
    )
    if row.status != status.value:
        health_store.follow_status(server_id, status.value, row.config)
    publish_in_transaction(
        "server.status", server_id, {"status": status.value, "reason": reason}
    )


def _since(status: Status) -> Any:
    # A new reason for the same status does not restart its clock.
    return Case(
        None, [(ServerRow.status == status.value, ServerRow.status_since)], now()
    )


def set_built(
    deployment_id: int,
    *,
    image: str,
    resolved: Mapping[str, Any],
    made_of: int | None = None,
) -> None:
    """Write what the build made, or, with ``made_of``, whose image is taken instead of a build."""
    DeploymentRow.update(image=image, resolved=dict(resolved), made_of=made_of).where(
        DeploymentRow.id == deployment_id
    ).execute()


def route_to(server_id: int, deployment_id: int | None) -> None:
    """Make the gateway route to this deployment's instance."""
    ServerRow.update(deployment_id=deployment_id).where(
        ServerRow.id == server_id
    ).execute()


def record_instance(
    server_id: int,
    record: InstanceRecord,
    *,
    started_at: datetime | None,
    is_routed: bool = False,
) -> None:
    """Tell the gateway where the deployment's instance is.

    Args:
        server_id: Of the server.
        record: What to tell.
        started_at: When it started.
        is_routed: Whether clients are sent there; else only the hub reaches it.
    """
    values = {
        "executor": record.executor,
        "name": record.name,
        "container_id": record.container_id,
        "transport": record.transport.value,
        "address": record.address,
        "started_at": started_at,
        "leaving_since": None,
        "leave_by": None,
        "purpose": record.purpose,
        "decision_id": record.decision_id,
    }
    InstanceRow.insert(
        server_id=server_id,
        deployment_id=record.deployment_id,
        created_at=now(),
        **values,
    ).on_conflict(conflict_target=[InstanceRow.deployment_id], update=values).execute()
    if is_routed:
        route_to(server_id, record.deployment_id)
    elif record.purpose == CANDIDATE:
        # No client is sent to what is only looked at, though it be the version that was live.
        ServerRow.update(deployment_id=None).where(
            ServerRow.id == server_id, ServerRow.deployment_id == record.deployment_id
        ).execute()


def forget_deployments(deployment_ids: Collection[int]) -> None:
    """Take the instances of these deployments away from the gateway; nobody waits any more for what is held of them."""
    policy_store.release(deployment_ids)
    InstanceRow.delete().where(
        InstanceRow.deployment_id.in_(list(deployment_ids))
    ).execute()


def forget_instances(server_id: int, names: tuple[str, ...] | None = None) -> None:
    """Take these instances, or all, away from the gateway."""
    query = InstanceRow.delete().where(InstanceRow.server_id == server_id)
    if names is not None:
        query = query.where(InstanceRow.name.in_(names))
    query.execute()


def promote(
    deployment: Deployment,
    manifest: Mapping[str, Any] | None,
    *,
    drain_s: float = DeployPolicy.drain_s,
) -> bool:
    """Make ``deployment`` the live one and send clients to it; what was live before is superseded, and leaves.

    All at once: whoever looks sees the one or the other. Again for one that is live: its manifest is kept.

    Args:
        deployment: The new one.
        manifest: What it said of itself; ``None``: nobody could ask it yet, because it wants people to sign in.
        drain_s: Seconds that calls at the old one have to end.

    Returns:
        Whether it went live; not if it was, or if it was cancelled meanwhile.
    """
    went_live = bool(
        DeploymentRow.update(
            state=DeploymentState.LIVE.value, finished_at=now(), live_at=now()
        )
        .where(
            DeploymentRow.id == deployment.id,
            DeploymentRow.state == DeploymentState.PENDING.value,
        )
        .execute()
    )
    if went_live:
        is_taken_back = deployment.trigger is Trigger.AUTOMATIC_ROLLBACK
        state = (
            DeploymentState.ROLLED_BACK if is_taken_back else DeploymentState.SUPERSEDED
        )
        superseded = (
            DeploymentRow.update(state=state.value, finished_at=now())
            .where(
                DeploymentRow.server_id == deployment.server_id,
                DeploymentRow.id != deployment.id,
                DeploymentRow.state == DeploymentState.LIVE.value,
            )
            .returning(DeploymentRow.id)
            .execute()
        )
        leave([row.id for row in superseded], drain_s)
        policy_store.release([row.id for row in superseded])
        route_to(deployment.server_id, deployment.id)
        # Whatever crashed before was another version.
        ServerRow.update(crashes=0, last_crash_at=None).where(
            ServerRow.id == deployment.server_id
        ).execute()
        publish_in_transaction(
            "server.deployment", deployment.server_id, {"number": deployment.number}
        )
    is_live = went_live or deployment.state is DeploymentState.LIVE
    if is_live and manifest is not None:
        manifest_store.keep(deployment.id, manifest)
    return went_live


def leave(deployment_ids: Collection[int], within_s: float) -> None:
    """Let the instances of these deployments end what began there, for so long."""
    since = now()
    InstanceRow.update(
        leaving_since=since, leave_by=since + timedelta(seconds=within_s)
    ).where(
        InstanceRow.deployment_id.in_(list(deployment_ids)),
        InstanceRow.leaving_since.is_null(),
    ).execute()


def fail_deployment(
    deployment: Deployment,
    reason: str,
    state: DeploymentState = DeploymentState.FAILED,
    *,
    missing_settings: Sequence[str] = (),
) -> bool:
    """Close a pending deployment, and return whether it still was pending; what was live goes on."""
    closed = (
        DeploymentRow.update(
            state=state.value,
            reason=reason,
            missing_settings=list(missing_settings),
            finished_at=now(),
        )
        .where(
            DeploymentRow.id == deployment.id,
            DeploymentRow.state == DeploymentState.PENDING.value,
        )
        .execute()
    )
    forget_deployments([deployment.id])
    live = deployment_in(deployment.server_id, DeploymentState.LIVE)
    route_to(deployment.server_id, live.id if live and _may_serve(live) else None)
    if closed:
        publish_in_transaction(
            "server.deployment", deployment.server_id, {"number": deployment.number}
        )
    return bool(closed)


def _may_serve(deployment: Deployment) -> bool:
    """Tell whether clients may be sent to what runs of a deployment, if anything does."""
    return (
        not InstanceRow.select()
        .where(
            InstanceRow.deployment_id == deployment.id,
            InstanceRow.purpose == CANDIDATE,
        )
        .exists()
    )


def record_crash(server: Server, *, crashes: int, instance_name: str) -> None:
    """Count a crash and take the instance away from the gateway, together."""
    ServerRow.update(crashes=crashes, last_crash_at=now()).where(
        ServerRow.id == server.id
    ).execute()
    forget_instances(server.id, (instance_name,))


def destroy(server_id: int) -> None:
    """Remove every row of the server; its usage metrics and audit trail stay."""
    route_to(server_id, None)
    ServerRow.delete().where(ServerRow.id == server_id).execute()
    publish_in_transaction("server.deleted", server_id)
