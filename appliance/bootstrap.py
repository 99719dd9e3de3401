"""Builds every object of the hub in visible order; the only module that knows all rooms.

Reading ``make_hub`` from top to bottom is reading what the hub is made of.
"""

import asyncio
import contextlib
import errno
import gc
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from functools import partial
from http import HTTPStatus
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web

from appliance.accounts.model import SYSTEM, Role
from appliance.accounts.orgs.invitations import InvitationService
from appliance.accounts.orgs.service import OrgService
from appliance.accounts.service import AccountService
from appliance.accounts.store import emails
from appliance.alerts import sources as alert_sources
from appliance.alerts.room import make_alerts
from appliance.alerts.service import EVERY_S as ALERTS_EVERY_S
from appliance.artifacts.model import ATTEST
from appliance.artifacts.references import LedgerReferences
from appliance.artifacts.service import LedgerService
from appliance.backups.service import LOOK_EVERY_S as BACKUPS_EVERY_S
from appliance.backups.service import MAKE as MAKE_BACKUP
from appliance.backups.service import VERIFY as VERIFY_BACKUP
from appliance.backups.service import BackupService
from appliance.backups.tasks import MakeTask, VerifyTask
from appliance.builds.errors import BuildToolError
from appliance.builds.service import BuildService
from appliance.bundles.service import BundleService
from appliance.bundles.store import holdings
from appliance.bundles.store import names as bundle_names
from appliance.certificates.errors import CertificatesNearEndError
from appliance.certificates.service import CertificateService
from appliance.core.cards import CATALOG_PATH, site
from appliance.core.errors import UnavailableError
from appliance.core.ids import internal_key
from appliance.evaluations.expiry import EVERY_S as EXPIRY_EVERY_S
from appliance.evaluations.expiry import ExpiryWatch
from appliance.evaluations.suites import EXECUTE
from appliance.evaluations.tasks import EVERY_S as SUITES_EVERY_S
from appliance.evidence.attaching import Attacher
from appliance.evidence.image_files import ImageFiles
from appliance.evidence.keys import SigningKeys
from appliance.evidence.making import Maker
from appliance.evidence.service import EvidenceService
from appliance.evidence.tasks import AttestTask
from appliance.files.room import Files
from appliance.governance.room import make_governance
from appliance.governance.tasks import SWEEP_EVERY_S as GOVERNANCE_EVERY_S
from appliance.infra import disk_space, migrations, supervision
from appliance.infra.database import (
    Database,
    DatabaseUnavailableError,
    connect,
    connection_arguments,
)
from appliance.infra.docker import Engine
from appliance.infra.errors import EngineUnavailableError, PortInUseError
from appliance.infra.heartbeat import Heartbeat, heartbeat_file
from appliance.infra.identity import installation_id
from appliance.infra.memory import give_back
from appliance.infra.postgres import database_url
from appliance.infra.releases import home
from appliance.infra.sealing import Sealer
from appliance.infra.unbroken import unbroken
from appliance.invocations.service import InvocationService
from appliance.jobs.clock import Clock
from appliance.jobs.model import Handler
from appliance.jobs.queue import JobQueue
from appliance.jobs.worker import JobWorker
from appliance.measurements.sampler import Sampler
from appliance.measurements.service import MeasurementService
from appliance.oauth.issuers import LOOK_EVERY_S, OtherIssuer
from appliance.oauth.room import make_authorization_server
from appliance.observability import logs
from appliance.observability.audit import AuditTrail
from appliance.observability.events import EventLog
from appliance.observability.metrics import Metrics
from appliance.output.room import Output
from appliance.policy.model import REVIEW
from appliance.policy.service import PolicyDocuments
from appliance.pressure.errors import PressureError
from appliance.pressure.exposition import BoxCollector
from appliance.pressure.watch import PressureWatch
from appliance.promotions.model import BRING_BACK
from appliance.promotions.room import make_promotions
from appliance.promotions.tasks import SWEEP_EVERY_S as PROMOTIONS_EVERY_S
from appliance.proxy.service import FrontDoorService
from appliance.proxy.verdict import DoorHealth
from appliance.registry.credentials import Asker, CredentialKeeper
from appliance.registry.errors import RegistryExpiredError
from appliance.registry.health import CredentialStatus, sentence
from appliance.registry.model import registry_host
from appliance.registry.prune_service import PRUNE, Pruner
from appliance.registry.rotation import RefreshFailedError
from appliance.registry.service import RegistryService
from appliance.registry.tasks import (
    CHECK,
    ROTATE,
    CheckTask,
    PruneTask,
    RotateTask,
    look_around,
)
from appliance.registry.upkeep import RegistryUpkeep
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.docker_metering import DockerMetering
from appliance.runtimes.docker_printing import DockerPrinters
from appliance.secrets.errors import MasterKeyError, VaultAwayError
from appliance.secrets.master import MasterKeys
from appliance.secrets.model import MasterKeyState
from appliance.secrets.room import kept_up, make_secrets, memory_files
from appliance.secrets.room import sweep as sweep_memory
from appliance.secrets.rotation import REWRAP, MasterKeyRotation
from appliance.secrets.service import SecretService
from appliance.servers.access import visible_id
from appliance.servers.bringing_back import BringBack
from appliance.servers.candidates import EXPIRE_EVERY_S, Candidates
from appliance.servers.catalog import Catalog
from appliance.servers.checks.check import Checker
from appliance.servers.checks.service import HealthService
from appliance.servers.checks.watch import EVERY_S as HEALTH_EVERY_S
from appliance.servers.checks.watch import HealthWatch
from appliance.servers.deployments import DeploymentService
from appliance.servers.deploys.model import WATCH
from appliance.servers.egress_service import EgressService
from appliance.servers.evaluating import make_evaluations
from appliance.servers.exchange import Gateway
from appliance.servers.gate import Gate
from appliance.servers.glance import Glance
from appliance.servers.integrating import make_integrations
from appliance.servers.isolating.service import IsolationService
from appliance.servers.isolating.watch import EVERY_S as LIMITS_EVERY_S
from appliance.servers.isolating.watch import LimitWatch
from appliance.servers.mcp import McpClient
from appliance.servers.measured import calls_of, marks_of
from appliance.servers.naming import make_server_domains
from appliance.servers.places import changed_place, filled_place, seen_place
from appliance.servers.policies import ServerPolicies, prune_decisions
from appliance.servers.quotas.census import EVERY_S as CENSUS_EVERY_S
from appliance.servers.quotas.census import DiskCensus
from appliance.servers.quotas.meter import BuildMeter
from appliance.servers.quotas.model import QuotaKind
from appliance.servers.quotas.service import QuotaService
from appliance.servers.readiness import CandidateCheck
from appliance.servers.reconciler import Reconciler
from appliance.servers.references import DeploymentReferences
from appliance.servers.refresh import EVERY_S as REFRESH_EVERY_S
from appliance.servers.refresh import (
    RefreshTask,
    refresh_all,
    watch_changes,
)
from appliance.servers.reviewing import PolicyReview
from appliance.servers.secret_settings import ServerSecrets
from appliance.servers.service import RECONCILE, REFRESH, ServerService
from appliance.servers.signing_in import ServerStanding
from appliance.servers.sources import ServerSources
from appliance.servers.steps import Steps
from appliance.servers.store import (
    all_ids,
    archives_in_use,
    deployments_referred,
    failed_servers,
)
from appliance.servers.store import facts as server_facts
from appliance.servers.tasks import ReconcileTask, reconcile_all, watch_executor
from appliance.servers.tool_reviews import ToolReviews
from appliance.servers.traffic import GatewayTraffic
from appliance.servers.transfers import ServerTransfers
from appliance.servers.versions import live_digest
from appliance.servers.watching import WatchTask
from appliance.servers.webhooks import REDEPLOY, WebhookRedeploy, WebhookService
from appliance.settings import Settings
from appliance.signin.room import make_sign_in
from appliance.sources.keeper import SourceKeeper
from appliance.upstreams.room import make_upstreams
from appliance.web import pages
from appliance.web.api.description import VERSION
from appliance.web.app import Services, make_app
from appliance.web.doors import exposure
from appliance.web.health import DegradedError, Readiness

log = structlog.get_logger("hub")

MIGRATIONS = Path(__file__).parent.parent / "migrations"
#: Postgres and the hub start together; so long the hub waits for the other.
DATABASE_START_S = 60.0
#: Everybody is looked at this often, whatever was missed.
SWEEP_EVERY_S = 30.0
CERTIFICATES_EVERY_S = 60.0
PRUNE_EVERY_S = 3600.0
#: Lines of the audit trail get their place in its chain this often.
AUDIT_CHAIN_EVERY_S = 10.0
#: Refused attempts that became no lines of their own are summed up this often.
DENIALS_EVERY_S = 60.0
#: Every run of the ledger, and every line of the trail, is compared with its hash this often.
LEDGER_CHECK_EVERY_S = 86400.0
#: Many wait rather than work, above all for a turn to build: whoever asks for a lot must not hold up the others here.
JOBS_AT_ONCE = 32
#: Of these no more, because one image is looked into at a time: a hundred deployments must not hold up what heals servers.
ATTESTS_AT_ONCE = 4
#: Each calls real tools, of which some are slow.
EVALUATIONS_AT_ONCE = 2
#: Where the engine keeps its images is asked once, and not waited for long.
ENGINE_PATIENCE_S = 1.0
#: A busy box may let the builder wait longer than a look at the health page takes.
BUILDER_PATIENCE_S = 1.0
#: A worker that has not looked at the queue for so long cannot.
WORKER_SILENT_S = 15.0


def run_hub(settings: Settings) -> None:
    """Run the hub until it is told to stop. Blocking.

    Raises:
        PortInUseError: BIND_PORT is in use.
        DatabaseUnavailableError: Postgres did not answer within a minute.
        MigrationError: The schema could not be brought up to date, and ALLOW_MIGRATION_FAILURE is not set.
    """
    logs.configure(settings.hub_log_level or settings.log_level, settings.log_format)
    problem = bring_schema_up(settings)
    app = make_hub(settings, migration_problem=problem)
    # What is here now stays. Walking through all of it to find garbage held requests up for more than 100 ms.
    gc.collect()
    give_back()
    gc.freeze()
    try:
        web.run_app(
            app,
            host=settings.bind_address,
            port=settings.bind_port,
            access_log=None,
            print=None,
            shutdown_timeout=settings.hub_graceful_timeout,
            keepalive_timeout=settings.hub_keepalive,
            handler_cancellation=True,
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUseError(
            f"Port {settings.bind_port} is in use.",
            hint="Stop the other program or set BIND_PORT to another port.",
        ) from error


def bring_schema_up(settings: Settings) -> str | None:
    """Apply pending migrations; return what went wrong if the hub may start all the same. Blocking."""
    arguments = connection_arguments(database_url(settings))
    deadline = time.monotonic() + DATABASE_START_S
    while True:
        try:
            with closing(connect(arguments)) as connection:
                # Gone back to, a release meets what the one after it has added.
                applied = migrations.migrate(
                    connection, MIGRATIONS, may_be_newer=home() is not None
                )
        except DatabaseUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        except migrations.MigrationError as error:
            if not settings.allow_migration_failure:
                raise
            log.exception("migrations.failed")
            return error.reason
        else:
            log.info("migrations.done", applied=applied)
            return None


def try_hub(settings: Settings) -> None:
    """Put a hub together beside the one that serves, without jobs, clock and watchers, and see that it is ready. Blocking.

    Raises:
        HubTrialError: It is not; the text says which part is down.
    """
    logs.configure("warning", settings.log_format, stream=sys.stderr.buffer)
    asyncio.run(_try_hub(settings))


async def _try_hub(settings: Settings) -> None:
    application = await make_hub(settings, works=False)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{port}/readyz") as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise HubTrialError(
                    f"This release's hub is not ready: {await answer.text()}"
                )
    finally:
        await runner.cleanup()


async def make_hub(  # noqa: PLR0915 - one object after another, which is the point
    settings: Settings, *, migration_problem: str | None = None, works: bool = True
) -> web.Application:
    """Return the hub's application; its worker, clock and watchers start and stop with it.

    Args:
        settings: Of the hub.
        migration_problem: Why the schema is not that of this version.
        works: Whether it has worker, clock and watchers at all.
    """
    owner = installation_id(settings.data_dir)
    database = Database(database_url(settings), size=settings.database_pool)
    engine = Engine(settings.docker_host)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )
    metrics = Metrics()
    events = EventLog(database)
    audit = AuditTrail(database, keep_days=settings.audit_retention_days)
    accounts = AccountService(
        database,
        *settings.jwt_secrets,
        open_registration=settings.open_registration,
        passwords_sign_in=settings.password_sign_in,
    )

    ledger = LedgerService(
        database,
        servers=server_facts,
        targets=settings.arch_targets or (),
        attests=True,
    )
    disks = DataDisks(
        settings.data_disks_dir, default_bytes=settings.server_data_limit_bytes
    )
    oauth = make_authorization_server(database, settings)
    memory = await asyncio.to_thread(memory_files, settings)
    secret_service = make_secrets(database, settings, memory, session)
    executor = DockerExecutor(
        engine,
        owner=owner,
        subnet_pool=settings.server_subnet_pool,
        disks=disks,
        memory=memory,
        hiding=secret_service.redactor,
    )
    keeper = CredentialKeeper(database, settings, host=registry_host(settings.registry))
    registry = RegistryService(database, engine, settings, owner=owner, keeper=keeper)
    pruner = Pruner(
        database,
        registry.client,
        [DeploymentReferences(), LedgerReferences()],
        owner=owner,
        retry_limit=settings.registry_push_retries,
    )
    registry.on_published(pruner.published)
    upkeep = RegistryUpkeep(database, settings, keeper)
    certificates = CertificateService(database, settings, Sealer(*settings.jwt_secrets))
    builds = BuildService(
        database,
        engine,
        settings,
        owner=owner,
        publisher=registry,
        ledger=ledger,
        referred=partial(database.run, deployments_referred),
        meter=BuildMeter(),
    )
    quotas = QuotaService(database)
    secret = settings.jwt_secret.get_secret_value().encode()
    signing = SigningKeys(database, Sealer(*settings.jwt_secrets))
    evidence = EvidenceService(
        database,
        ledger=ledger,
        keys=signing,
        maker=Maker(
            ImageFiles(engine, owner=owner),
            signing,
            installation=owner,
            version=VERSION,
        ),
        attacher=Attacher(registry.client) if registry.is_configured else None,
        builder=settings.buildx_builder or "default",
    )
    gateway = Gateway(session, settings.mcp_gateway_url, internal_key(secret))
    evaluations = make_evaluations(
        database, settings, ledger, gateway, hide=secret_service.redactor
    )
    mcp = McpClient(gateway)
    public_url = settings.gateway_public_url or settings.mcp_gateway_url
    source_keeper = SourceKeeper(database, settings)
    upstreams = make_upstreams(
        database,
        settings,
        secret_service.keeper,
        files=memory,
        standing=ServerStanding(),
    )
    domains = make_server_domains(database, settings)
    servers = ServerService(
        database,
        executor,
        builds,
        mcp,
        keeper=source_keeper,
        secrets=secret_service,
        gateway_public_url=public_url,
        domains=domains,
    )
    sources = ServerSources(database, servers, source_keeper)
    webhooks = WebhookService(database, *settings.jwt_secrets)
    bundles = BundleService(database, mcp, gateway_public_url=public_url)
    deployments = DeploymentService(database, builds)
    gate = Gate(database, [executor])
    candidates = Candidates(database, gateway)
    steps = Steps(
        database,
        executor,
        builds,
        mcp,
        gate=gate,
        readiness=CandidateCheck(gateway),
        signins=upstreams,
        secrets=secret_service,
        start_timeout_s=settings.start_timeout,
    )
    invocations = InvocationService(
        database,
        visible=visible_id,
        people=emails,
        bundles=bundle_names,
        keep_days=settings.invocation_retention_days,
    )
    # One open stream a container, so it has connections of its own.
    listening = Engine(settings.docker_host, connections=0)
    output = Output(
        database,
        settings,
        DockerPrinters(listening, owner=owner),
        visible=visible_id,
        servers=all_ids,
        redactor=secret_service.redactor,
    )
    sampler = Sampler(
        database,
        DockerMetering(engine),
        running=output.collector.printers,
        metrics=metrics,
    )
    files = Files(
        database,
        settings,
        executor,
        base_image=builds.base_image,
        seen=seen_place,
        changed=changed_place,
        filled=filled_place,
    )
    reconcile = ReconcileTask(
        Reconciler(database, executor, GatewayTraffic(gateway), steps)
    )
    sweep = partial(database.run, reconcile_all)
    checker = Checker(
        gateway, executor, hide=secret_service.redactor, signins=upstreams
    )
    checks = HealthService(database, servers, HealthWatch(database, checker))

    governance = make_governance(
        database,
        settings,
        rotate=_rotation(keeper) if registry.is_configured else None,
    )
    promotions = make_promotions(database, live=live_digest)
    programs = partial(asyncio.to_thread, supervision.read, settings.run_dir)
    pressure = PressureWatch(
        database, settings, partial(write_places, builds, settings)
    )

    alerts = make_alerts(
        database,
        settings,
        {
            "health": alert_sources.of_parts(
                lambda: readiness.parts(),  # noqa: PLW0108 - it is made below
                but=("supervision",),
            ),
            "supervision": alert_sources.of_programs(programs, time.time),
            "server": alert_sources.of_servers(partial(database.run, failed_servers)),
        },
    )

    backups = BackupService(database, settings, installation=owner, metrics=metrics)

    queue = JobQueue(database)
    handlers: dict[str, Handler] = {
        **alerts.handlers,
        **governance.handlers,
        **promotions.handlers,
        RECONCILE: reconcile,
        REFRESH: RefreshTask(database, mcp, secret_service),
        REDEPLOY: WebhookRedeploy(database),
        WATCH: WatchTask(database),
        REVIEW: PolicyReview(database, gate),
        BRING_BACK: BringBack(database, gate),
        ATTEST: AttestTask(evidence),
        REWRAP: secret_service.rotation,
        MAKE_BACKUP: MakeTask(database, backups),
        VERIFY_BACKUP: VerifyTask(backups),
        **evaluations.handlers,
    }
    if registry.is_configured:
        handlers[CHECK] = CheckTask(keeper, registry.client())
        handlers[ROTATE] = RotateTask(keeper)
        handlers[PRUNE] = PruneTask(pruner)
    worker = JobWorker(
        database,
        handlers,
        concurrency=JOBS_AT_ONCE,
        at_most={ATTEST: ATTESTS_AT_ONCE, EXECUTE: EVALUATIONS_AT_ONCE},
        metrics=metrics,
    )
    clock = Clock(database, metrics=metrics)
    clock.every(SWEEP_EVERY_S, "servers.sweep", Glance(database, executor, sweep))
    clock.every(LIMITS_EVERY_S, "servers.limits", LimitWatch(database, executor))
    clock.every(HEALTH_EVERY_S, "servers.check_health", checks.watch.tick)
    clock.every(PRUNE_EVERY_S, "servers.prune_history", checks.prune)
    clock.every(EXPIRE_EVERY_S, "servers.expire_candidates", candidates.expire)
    policy_prune = partial(prune_decisions, database, settings.audit_retention_days)
    clock.every(PRUNE_EVERY_S, "policy.prune", policy_prune)
    refresh = partial(database.run, refresh_all)
    clock.every(REFRESH_EVERY_S, "servers.refresh_manifests", refresh)
    if registry.is_configured:
        check_s = settings.registry_auth_check_seconds
        clock.every(check_s, "registry.check", partial(database.run, look_around))
    issuer = (
        OtherIssuer(database, session, settings.oauth_issuer)
        if settings.oauth_issuer
        else None
    )
    if issuer is not None:
        clock.every(LOOK_EVERY_S, "oauth.read_issuer", issuer.look)
    measure = partial(certificates.measure, metrics)
    clock.every(CERTIFICATES_EVERY_S, "certificates.measure", measure)
    clock.every(GOVERNANCE_EVERY_S, "governance.sweep", governance.sweep)
    clock.every(PROMOTIONS_EVERY_S, "promotions.sweep", promotions.sweep)
    clock.every(ALERTS_EVERY_S, "alerts.look", alerts.service.look)
    clock.every(PRUNE_EVERY_S, "alerts.prune", alerts.service.prune)
    clock.every(PRUNE_EVERY_S, "jobs.prune", queue.prune)
    clock.every(
        PRUNE_EVERY_S,
        "uploads.prune",
        partial(source_keeper.uploads.prune, partial(database.run, archives_in_use)),
    )
    clock.every(PRUNE_EVERY_S, "events.prune", events.prune)
    clock.every(PRUNE_EVERY_S, "accounts.prune", accounts.prune)
    clock.every(PRUNE_EVERY_S, "oauth.prune", oauth.grants.prune)
    clock.every(PRUNE_EVERY_S, "invocations.keep", invocations.keep)
    clock.every(LEDGER_CHECK_EVERY_S, "artifacts.check_chain", ledger.check)
    clock.every(AUDIT_CHAIN_EVERY_S, "audit.chain", audit.chain)
    clock.every(DENIALS_EVERY_S, "audit.sum_up_denials", audit.sum_up)
    clock.every(LEDGER_CHECK_EVERY_S, "audit.check", audit.check)
    clock.every(PRUNE_EVERY_S, "audit.prune", audit.prune)
    clock.every(EXPIRY_EVERY_S, "evaluations.expire", ExpiryWatch(database).look)
    clock.every(SUITES_EVERY_S, "evaluations.run_due", evaluations.clock.tick)
    clock.every(PRUNE_EVERY_S, "evaluations.prune_runs", evaluations.service.prune)
    clock.every(
        PRUNE_EVERY_S, "evaluations.prune_files", evaluations.certifications.prune
    )
    clock.every(PRUNE_EVERY_S, "webhooks.prune", webhooks.prune)
    clock.every(PRUNE_EVERY_S, "builds.prune", builds.prune)
    clock.every(BACKUPS_EVERY_S, "backups.schedule", backups.tick)
    census = DiskCensus(database, images=builds.image_bytes, data=executor.data_sizes)
    clock.every(CENSUS_EVERY_S, "quotas.measure_disk", census)
    clock.every(PRUNE_EVERY_S, "secrets.prune", secret_service.prune)
    clock.every(PRUNE_EVERY_S, "upstreams.sweep", upstreams.sweep)
    clock.every(
        PRUNE_EVERY_S, "secrets.sweep", partial(sweep_memory, secret_service, executor)
    )

    front_door = FrontDoorService(database, settings)
    readiness = Readiness(
        {
            "database": _say(database.ping, "Postgres answers."),
            "migrations": _migrations_check(migration_problem),
            "disk": disk_check(builds, settings, pressure),
            "run": _warned(pressure.run_room),
            "memory": _warned(pressure.memory),
            "processes": _warned(pressure.processes),
            "connections": _warned(pressure.connections),
            "time": _warned(pressure.time),
            "supervision": _warned(pressure.supervision),
            "engine": executor.check,
            "builder": builder_check(builds),
            "gateway": gateway_check(gateway, is_own=not settings.gateway_skip_start),
            "ledger": _ledger_check(ledger),
            "audit": _audit_check(audit),
            "doors": doors_check(settings),
            "registry": registry_check(upkeep),
            **(
                {"proxy": front_door_check(front_door)}
                if settings.proxy_enabled
                else {}
            ),
            **certificates_part(settings, certificates),
            "secrets": secrets_check(secret_service),
            **(
                {"worker": _worker_check(worker), "clock": _clock_check(clock)}
                if works
                else {}
            ),
            "backups": backups_check(backups),
            **({} if issuer is None else {"issuer": issuer_check(issuer)}),
        }
    )
    metrics.registry.register(
        BoxCollector(pressure, readiness.known, alerts.service.open_now)
    )
    services = Services(
        settings=settings,
        accounts=accounts,
        alerts=alerts.service,
        orgs=OrgService(database, holds=holdings),
        invitations=InvitationService(database),
        quotas=quotas,
        transfers=ServerTransfers(database),
        servers=servers,
        sources=sources,
        webhooks=webhooks,
        deployments=deployments,
        tool_reviews=ToolReviews(database),
        secrets=ServerSecrets(database, secret_service),
        egress=EgressService(database, servers),
        isolation=IsolationService(
            database,
            servers,
            executor,
            data_limit_bytes=settings.server_data_limit_bytes,
        ),
        bundles=bundles,
        catalog=Catalog(database, site(settings.public_url, public_url), domains),
        ledger=ledger,
        evidence=evidence,
        evaluations=evaluations,
        policy=PolicyDocuments(database),
        policies=ServerPolicies(database, gate),
        registry=upkeep,
        front_door=front_door,
        certificates=certificates,
        checks=checks,
        invocations=invocations,
        output=output.service,
        measurements=MeasurementService(
            database, sampler, visible=visible_id, calls=calls_of, marks=marks_of
        ),
        files=files.service,
        integrations=make_integrations(
            database, secret_service, subnet_pool=settings.server_subnet_pool
        ),
        oauth=oauth,
        signin=make_sign_in(database, settings),
        governance=governance,
        promotions=promotions,
        upstreams=upstreams,
        backups=backups,
        domains=domains,
        jobs=queue,
        events=events,
        audit=audit,
        metrics=metrics,
        readiness=readiness,
    )

    async def running(_app: web.Application) -> AsyncIterator[None]:
        await quotas.set_defaults(
            {
                QuotaKind.BUILD_MINUTES: settings.build_minutes_quota,
                QuotaKind.DISK: settings.disk_quota_mib,
            }
        )
        # Gateways then know the key before the first token comes.
        await oauth.keys.signer()
        await registry.sweep()
        await worker.start()
        await clock.start()
        heart = await asyncio.to_thread(
            Heartbeat, heartbeat_file(settings.run_dir, "hub")
        )
        watchers = [
            unbroken("heartbeat", heart.run),
            unbroken("outage", alerts.outage.run),
            unbroken("pressure", pressure.run),
            unbroken(
                "executor-events",
                lambda: watch_executor(
                    executor.events(), database, sweep, checks.watch.look_at
                ),
            ),
            unbroken("manifest-changes", lambda: watch_changes(database)),
            unbroken("upstreams", upstreams.watch),
            *output.start(events),
            unbroken("sampler", sampler.run),
        ]
        log.info("hub.started", port=settings.bind_port)
        async with kept_up(secret_service):
            yield
        for watcher in watchers:
            watcher.cancel()
        for watcher in watchers:
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        await clock.stop()
        await checks.watch.stop()
        await worker.stop()

    async def doors(_app: web.Application) -> AsyncIterator[None]:
        yield
        await events.close()
        await session.close()
        await registry.close()
        await files.close()
        await output.close()
        await listening.close()
        await engine.close()
        accounts.close()
        await asyncio.to_thread(database.close)

    return make_app(
        services,
        setups=(pages.install,),
        contexts=(doors, running) if works else (doors,),
    )


def _say(
    check: Callable[[], Awaitable[None]], words: str
) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        await check()
        return words

    return call


def _rotation(keeper: CredentialKeeper) -> Callable[[], Awaitable[str]]:
    """Return what replaces the registry's credentials and says so, or fails."""

    async def rotate() -> str:
        _, outcome = await keeper.look(Asker(is_forced=True))
        if outcome is not True:
            raise RefreshFailedError("There are no fresh credentials.")
        return "There are fresh credentials."

    return rotate


def _migrations_check(problem: str | None) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        if problem:
            raise DegradedError(problem)
        return "The schema is that of this version."

    return check


def _ledger_check(ledger: LedgerService) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        state = await ledger.chain_state()
        if state.problem:
            raise DegradedError(
                f"The ledger is not what was written: {state.problem}",
                hint="'mcpctl artifacts verify-chain' shows where.",
            )
        checked = (
            f"checked {state.checked_at:%Y-%m-%d %H:%M} UTC"
            if state.checked_at
            else "not checked yet"
        )
        how = "" if await ledger.is_indexed() else " Searches read it all: no pg_trgm."
        return f"{state.runs} builds, {checked}.{how}"

    return check


def _audit_check(audit: AuditTrail) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        state = await audit.chain_state()
        if state.problem:
            raise DegradedError(
                f"The audit trail is not what was written: {state.problem}",
                hint="'mcpctl audit verify' shows where.",
            )
        checked = (
            f"checked {state.checked_at:%Y-%m-%d %H:%M} UTC"
            if state.checked_at
            else "not checked yet"
        )
        return f"{state.end.seq - state.pruned.seq} lines, {checked}."

    return check


def doors_check(settings: Settings) -> Callable[[], Awaitable[str]]:
    """Return what tells whether the hub is open to a network on which everybody can read along."""

    async def check() -> str:
        if told := exposure(settings):
            raise DegradedError(f"Passwords and keys travel in clear. {told}")
        return "The hub is reached through TLS, or from this box alone."

    return check


def front_door_check(door: FrontDoorService) -> Callable[[], Awaitable[str]]:
    """Return what tells how Nginx and its controller are."""

    async def check() -> str:
        found = await door.verdict()
        if found.health is DoorHealth.DEGRADED:
            raise DegradedError(found.sentence)
        return found.text

    return check


def certificates_part(
    settings: Settings, certificates: CertificateService
) -> dict[str, Callable[[], Awaitable[str]]]:
    """Return what tells whether somebody should look at a certificate; nothing where no front door serves them."""

    async def check() -> str:
        try:
            return await certificates.told()
        except CertificatesNearEndError as error:
            raise DegradedError(error.detail) from error

    return {"certificates": check} if settings.proxy_enabled else {}


def registry_check(upkeep: RegistryUpkeep) -> Callable[[], Awaitable[str]]:
    """Return what tells how the registry's credentials are; a box without a registry lacks nothing."""

    async def check() -> str:
        health = await upkeep.health()
        if health is None:
            return "Images stay on this box: REGISTRY is not set."
        told = sentence(health)
        if health.status is CredentialStatus.EXPIRED:
            raise RegistryExpiredError(told)
        if health.rotation_recommended:
            raise DegradedError(told)
        return told

    return check


def backups_check(backups: BackupService) -> Callable[[], Awaitable[str]]:
    """Return what tells of the clock's backups; one that failed or is overdue harms nothing that runs."""

    async def check() -> str:
        told, problem = await backups.check()
        if problem:
            raise DegradedError(problem, hint="'mcpctl backups' shows more.")
        return told

    return check


def issuer_check(issuer: OtherIssuer) -> Callable[[], Awaitable[str]]:
    """Return what tells whether another issuer can be read; with what is known of it, its tokens are good without."""

    async def check() -> str:
        state = await issuer.state()
        if state.error or not state.keys:
            why = state.error or "It was not asked yet."
            raise DegradedError(f"{state.issuer} could not be read. {why}")
        return f"Access tokens are those of {state.issuer}."

    return check


def secrets_check(secrets: SecretService) -> Callable[[], Awaitable[str]]:
    """Return what tells whether secrets can be had; what runs has its own, so the hub is degraded without."""

    async def check() -> str:
        try:
            return await secrets.check()
        except (VaultAwayError, MasterKeyError) as error:
            raise DegradedError(error.reason) from error

    return check


async def write_places(builds: BuildService, settings: Settings) -> list[Path]:
    """Return where the appliance and the engine write."""
    try:
        async with asyncio.timeout(ENGINE_PATIENCE_S):
            return await builds.places()
    except (EngineUnavailableError, TimeoutError):
        return [settings.data_dir]  # of the engine its own part speaks


def disk_check(
    builds: BuildService, settings: Settings, pressure: PressureWatch
) -> Callable[[], Awaitable[str]]:
    """Return what tells how much room is left where the appliance and the engine write, and for how long."""

    async def check() -> str:
        places = await write_places(builds, settings)
        found = await asyncio.to_thread(disk_space.rooms, places)
        try:
            told = disk_space.told(
                found, low_bytes=settings.disk_low_mib * disk_space.MIB
            )
        except disk_space.DiskTightError as error:
            raise DegradedError(error.reason) from error
        try:
            return told + pressure.trend()
        except PressureError as error:
            raise DegradedError(f"{told} {error.reason}") from error

    return check


def _warned(ask: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
    """Return a check of what runs short: the hub is degraded then, and works."""

    async def check() -> str:
        try:
            return await ask()
        except PressureError as error:
            raise DegradedError(error.reason) from error

    return check


def builder_check(builds: BuildService) -> Callable[[], Awaitable[str]]:
    """Return what tells what builds can do; what runs already does not need a builder, so the hub is degraded without."""

    async def check() -> str:
        try:
            async with asyncio.timeout(BUILDER_PATIENCE_S):
                return await builds.check()
        except BuildToolError as error:
            raise DegradedError(error.reason) from error
        except TimeoutError:
            return "The builder has not said yet what it can do."

    return check


def _worker_check(worker: JobWorker) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        if worker.seconds_since_look > WORKER_SILENT_S:
            raise DegradedError(
                f"No look at the queue for {worker.seconds_since_look:.0f} s."
            )
        return f"{worker.running} jobs run."

    return check


def _clock_check(clock: Clock) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        return "It ticks here." if clock.is_leader else "Another hub leads it."

    return check


def gateway_check(gateway: Gateway, *, is_own: bool) -> Callable[[], Awaitable[str]]:
    """Return what asks a gateway whether it is ready, and whether it takes this hub for its own.

    Args:
        gateway: Where it is.
        is_own: Whether this box starts it.
    """
    session, url = gateway.session, gateway.url
    whose = "" if is_own else " It is not started by this box (GATEWAY_SKIP_START)."

    async def check() -> str:
        try:
            async with session.get(f"{url}/readyz") as response:
                if not response.ok:
                    raise GatewayDownError(
                        f"The gateway at {url} is not ready: {await response.text()}"
                    )
            async with session.get(
                url + CATALOG_PATH, headers=gateway.bearer
            ) as response:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    raise GatewayDownError(
                        f"The gateway at {url} does not know this hub.{whose}",
                        hint="Both need the same JWT_SECRET, and the same DATABASE_URL.",
                    )
        except aiohttp.ClientError as error:
            raise GatewayDownError(
                f"The gateway at {url} does not answer: {error}.{whose}"
            ) from error
        return f"It answers at {url}.{whose}"

    return check


class HubTrialError(UnavailableError):
    """A hub beside the one that serves did not get ready."""

    code = "hub_trial_failed"


class GatewayDownError(UnavailableError):
    """The gateway does not answer."""

    code = "gateway_down"


async def create_user(
    settings: Settings, *, email: str, is_admin: bool, password: str | None
) -> dict[str, str]:
    """Add a person from the box itself; return address and password, generated unless given.

    Raises:
        EmailTakenError: Somebody has the address.
    """
    await asyncio.to_thread(bring_schema_up, settings)
    database = Database(database_url(settings), size=2)
    accounts = AccountService(database, settings.jwt_secret.get_secret_value().encode())
    chosen = password or secrets.token_urlsafe(15)
    try:
        role = Role.ADMIN if is_admin else Role.MEMBER
        user = await accounts.people.add(SYSTEM, email, chosen, role)
    finally:
        accounts.close()
        await asyncio.to_thread(database.close)
    return {"email": user.email, "password": chosen, "role": user.role.value}


async def rotate_master_key(settings: Settings) -> MasterKeyState:
    """Make a new master key from the box itself, and return how the sealing of values stands.

    Raises:
        MasterKeyError: The key file cannot be changed.
    """
    await asyncio.to_thread(bring_schema_up, settings)
    database = Database(database_url(settings), size=2)
    try:
        rotation = MasterKeyRotation(database, MasterKeys(settings.master_key_file))
        return await rotation.begin(SYSTEM)
    finally:
        await asyncio.to_thread(database.close)
