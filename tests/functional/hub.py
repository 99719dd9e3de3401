"""A hub as tests drive it: the real application and services over real HTTP and Postgres, on which no container runs."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from appliance.accounts.model import SYSTEM, NewKey, Principal, Role
from appliance.accounts.orgs.invitations import InvitationService
from appliance.accounts.orgs.service import OrgService
from appliance.accounts.service import AccountService
from appliance.accounts.store import emails
from appliance.alerts.room import make_alerts
from appliance.artifacts.service import LedgerService
from appliance.backups.service import BackupService
from appliance.builds.service import BuildService
from appliance.bundles.service import BundleService
from appliance.bundles.store import holdings
from appliance.bundles.store import names as bundle_names
from appliance.certificates.service import CertificateService
from appliance.core.cards import site
from appliance.evidence.image_files import ImageFiles
from appliance.evidence.keys import SigningKeys
from appliance.evidence.making import Maker
from appliance.evidence.service import EvidenceService
from appliance.files.service import FileService
from appliance.governance.room import make_governance
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.memory_files import MemoryFiles
from appliance.infra.sealing import Sealer
from appliance.invocations.service import InvocationService
from appliance.jobs.queue import JobQueue
from appliance.measurements.sampler import Sampler
from appliance.measurements.service import MeasurementService
from appliance.oauth.room import make_authorization_server
from appliance.observability.audit import AuditTrail
from appliance.observability.events import EventLog
from appliance.observability.metrics import Metrics
from appliance.output.room import Output
from appliance.policy.service import PolicyDocuments
from appliance.promotions.room import make_promotions
from appliance.proxy.service import FrontDoorService
from appliance.registry.credentials import CredentialKeeper
from appliance.registry.model import registry_host
from appliance.registry.upkeep import RegistryUpkeep
from appliance.secrets.keeping import SecretKeeper
from appliance.servers.access import visible_id
from appliance.servers.catalog import Catalog
from appliance.servers.checks.check import Checker
from appliance.servers.checks.service import HealthService
from appliance.servers.checks.watch import HealthWatch
from appliance.servers.deployments import DeploymentService
from appliance.servers.egress_service import EgressService
from appliance.servers.evaluating import make_evaluations
from appliance.servers.exchange import Gateway
from appliance.servers.gate import Gate
from appliance.servers.integrating import make_integrations
from appliance.servers.isolating.service import IsolationService
from appliance.servers.mcp import McpClient
from appliance.servers.measured import calls_of, marks_of
from appliance.servers.naming import make_server_domains
from appliance.servers.places import changed_place, filled_place, seen_place
from appliance.servers.policies import ServerPolicies
from appliance.servers.quotas.service import QuotaService
from appliance.servers.secret_settings import ServerSecrets
from appliance.servers.service import ServerService
from appliance.servers.signing_in import ServerStanding
from appliance.servers.sources import ServerSources
from appliance.servers.store import all_ids
from appliance.servers.store import facts as server_facts
from appliance.servers.tool_reviews import ToolReviews
from appliance.servers.transfers import ServerTransfers
from appliance.servers.versions import live_digest
from appliance.servers.webhooks import WebhookService
from appliance.settings import Settings, load_settings
from appliance.signin.room import make_sign_in
from appliance.sources.keeper import SourceKeeper
from appliance.upstreams.room import make_upstreams
from appliance.upstreams.service import UpstreamService
from appliance.web.app import Services
from appliance.web.health import Check, Readiness
from tests.fakes.executor import IdleExecutor
from tests.fakes.metering import FakeMetering
from tests.fakes.printers import FakePrinters
from tests.fakes.volumes import LocalVolumes
from tests.harness.passwords import cheap_passwords
from tests.harness.secrets import secrets_in

PASSWORD = "a long enough password"
NO_GATEWAY = "http://127.0.0.1:5500"


@dataclass
class Hub:
    """One running hub."""

    database: Database
    services: Services
    server: TestServer
    clients: list[TestClient[Any, Any]] = field(default_factory=list)

    async def client(self, key: str = "") -> TestClient[Any, Any]:
        """Return a client of its own cookies, with an API key if one is given."""
        headers = {"Authorization": f"Bearer {key}"} if key else None
        client = TestClient(self.server, headers=headers)
        self.clients.append(client)
        return client

    async def person(self, email: str, role: Role = Role.MEMBER) -> str:
        """Add somebody and return an API key of theirs; the first one is an administrator."""
        accounts = self.services.accounts
        if await accounts.has_users():
            user = await accounts.people.add(SYSTEM, email, PASSWORD, role)
        else:
            user = await accounts.register(email, PASSWORD)
        # Nobody signs in for this.
        principal = Principal(user.id, user.email, user.role, "session")
        return (await accounts.keys.create(principal, NewKey("test"))).shown

    async def close(self) -> None:
        """Hang up and stop."""
        for client in self.clients:
            await client.close()
        await self.server.close()
        await self.services.events.close()
        await self.services.servers._builds._engine.close()
        self.services.accounts.close()


def settings_for(**overrides: Any) -> Settings:
    """Return settings that read nothing of this box."""
    return load_settings(jwt_secret=secrets.token_urlsafe(48), **overrides)


def services_for(
    database: Database,
    session: aiohttp.ClientSession,
    settings: Settings,
    *,
    gateway_url: str = NO_GATEWAY,
    checks: dict[str, Check] | None = None,
) -> Services:
    """Return the services that the hub has, with an executor that runs nothing."""
    builds = BuildService(
        database, Engine(settings.docker_host), settings, owner="test"
    )
    gateway = Gateway(session, gateway_url, "mcpi_test")
    mcp = McpClient(gateway)
    ledger = LedgerService(database, servers=server_facts, targets=())
    keeper = SourceKeeper(database, settings)
    executor = IdleExecutor()
    secrets = secrets_in(settings.data_dir, database)
    servers = ServerService(
        database,
        executor,
        builds,
        mcp,
        keeper=keeper,
        secrets=secrets,
        gateway_public_url=gateway_url,
    )
    return Services(
        settings=settings,
        alerts=make_alerts(database, settings, {}).service,
        accounts=AccountService(
            database,
            *settings.jwt_secrets,
            open_registration=settings.open_registration,
            passwords_sign_in=settings.password_sign_in,
            passwords=cheap_passwords(),
        ),
        orgs=OrgService(database, holds=holdings),
        invitations=InvitationService(database),
        quotas=QuotaService(database),
        transfers=ServerTransfers(database),
        servers=servers,
        sources=ServerSources(database, servers, keeper),
        egress=EgressService(database, servers),
        isolation=IsolationService(
            database,
            servers,
            executor,
            data_limit_bytes=settings.server_data_limit_bytes,
        ),
        secrets=ServerSecrets(database, secrets),
        tool_reviews=ToolReviews(database),
        deployments=DeploymentService(database, builds),
        webhooks=WebhookService(
            database, settings.jwt_secret.get_secret_value().encode()
        ),
        bundles=BundleService(database, mcp, gateway_public_url=gateway_url),
        catalog=Catalog(database, site(settings.public_url, gateway_url)),
        ledger=ledger,
        evidence=evidence_for(database, settings, ledger),
        evaluations=make_evaluations(
            database, settings, ledger, gateway, hide=secrets.redactor
        ),
        policy=PolicyDocuments(database),
        policies=ServerPolicies(database, Gate(database, [executor])),
        front_door=FrontDoorService(database, settings),
        backups=BackupService(database, settings, installation="0a1b2c3d4e5f"),
        certificates=CertificateService(
            database, settings, Sealer(*settings.jwt_secrets)
        ),
        registry=RegistryUpkeep(
            database,
            settings,
            CredentialKeeper(database, settings, host=registry_host(settings.registry)),
        ),
        checks=HealthService(
            database,
            servers,
            HealthWatch(database, Checker(gateway, executor)),
        ),
        invocations=InvocationService(
            database,
            visible=visible_id,
            people=emails,
            bundles=bundle_names,
            keep_days=30,
        ),
        output=output_for(database, settings).service,
        measurements=measurements_for(database),
        files=FileService(
            database,
            LocalVolumes(settings.data_dir / "volumes"),
            seen=seen_place,
            changed=changed_place,
            filled=filled_place,
            quota_bytes=settings.files_quota,
            upload_bytes=settings.files_upload_max_bytes,
        ),
        integrations=make_integrations(
            database, secrets, subnet_pool=settings.server_subnet_pool
        ),
        oauth=make_authorization_server(database, settings),
        signin=make_sign_in(database, settings),
        governance=make_governance(database, settings),
        promotions=make_promotions(database, live=live_digest),
        upstreams=upstreams_for(database, settings, secrets.keeper),
        domains=make_server_domains(database, settings),
        jobs=JobQueue(database),
        events=EventLog(database),
        audit=AuditTrail(database),
        metrics=Metrics(),
        readiness=Readiness(checks or {}, fresh_for_s=0),
    )


def upstreams_for(
    database: Database, settings: Settings, keeper: SecretKeeper
) -> UpstreamService:
    """Return what knows accounts at remote servers; its tokens lie below the data directory, as if that were in memory."""
    return make_upstreams(
        database,
        settings,
        keeper,
        files=MemoryFiles(settings.data_dir / "memory"),
        standing=ServerStanding(),
    )


def output_for(
    database: Database, settings: Settings, printers: FakePrinters | None = None
) -> Output:
    """Return what keeps servers' output, of containers that print what a test says."""
    return Output(
        database,
        settings,
        printers or FakePrinters(),
        visible=visible_id,
        servers=all_ids,
    )


def measurements_for(
    database: Database, metering: FakeMetering | None = None
) -> MeasurementService:
    """Return what measures servers, of containers that use what a test says."""
    metering = metering or FakeMetering()
    sampler = Sampler(
        database, metering, running=lambda: metering.running, metrics=Metrics()
    )
    return MeasurementService(
        database, sampler, visible=visible_id, calls=calls_of, marks=marks_of
    )


def evidence_for(
    database: Database, settings: Settings, ledger: LedgerService
) -> EvidenceService:
    """Return the evidence of a hub without a registry."""
    keys = SigningKeys(
        database, Sealer(settings.jwt_secret.get_secret_value().encode())
    )
    files = ImageFiles(Engine(settings.docker_host), owner="test")
    return EvidenceService(
        database,
        ledger=ledger,
        keys=keys,
        maker=Maker(files, keys, installation="test", version="0.1.0"),
        attacher=None,
        builder="default",
    )
