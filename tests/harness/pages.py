"""A hub with its pages over real HTTP and a real Postgres; nothing runs jobs, so states are what a test makes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from appliance.accounts.model import Principal, Role
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
from appliance.files.service import FileService
from appliance.governance.room import make_governance
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.sealing import Sealer
from appliance.invocations.service import InvocationService
from appliance.jobs.queue import JobQueue
from appliance.oauth.room import make_authorization_server
from appliance.observability.audit import AuditTrail
from appliance.observability.events import EventLog
from appliance.observability.metrics import Metrics
from appliance.policy.service import PolicyDocuments
from appliance.promotions.room import make_promotions
from appliance.proxy.service import FrontDoorService
from appliance.registry.credentials import CredentialKeeper
from appliance.registry.model import registry_host
from appliance.registry.upkeep import RegistryUpkeep
from appliance.runtimes.docker import DockerExecutor
from appliance.servers import store
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
from appliance.servers.model import Deployment, NewServer, Status
from appliance.servers.naming import make_server_domains
from appliance.servers.places import changed_place, filled_place, seen_place
from appliance.servers.policies import ServerPolicies
from appliance.servers.quotas.service import QuotaService
from appliance.servers.secret_settings import ServerSecrets
from appliance.servers.service import ServerService, ServerView
from appliance.servers.sources import ServerSources
from appliance.servers.tool_reviews import ToolReviews
from appliance.servers.transfers import ServerTransfers
from appliance.servers.versions import live_digest
from appliance.servers.webhooks import WebhookService
from appliance.settings import Settings, load_settings
from appliance.signin.room import make_sign_in
from appliance.sources.keeper import SourceKeeper
from appliance.sources.spec import parse_source
from appliance.web.app import Services, make_app
from appliance.web.health import Check, Readiness
from appliance.web.pages import install
from tests.fakes.volumes import LocalVolumes
from tests.functional.hub import (
    evidence_for,
    measurements_for,
    output_for,
    upstreams_for,
)
from tests.harness.passwords import cheap_passwords
from tests.harness.ports import free_port
from tests.harness.secrets import secrets_in

ADMIN = "ada@example.org"
PASSWORD = "correct horse battery staple"
OWNER = "test-pages"
TIME_MANIFEST: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "mcp-time", "version": "1.0"},
    "tools": [
        {
            "name": "get_current_time",
            "description": "Get the current time",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "timezone": {"type": "string", "description": "IANA name"}
                },
                "required": ["timezone"],
            },
        }
    ],
}


async def _well() -> str:
    return "It answers."


@dataclass
class Hub:
    """A running hub and a browser that is not signed in."""

    services: Services
    database: Database
    client: TestClient[Any, Any]
    csrf: str = ""
    checks: dict[str, Check] = field(default_factory=dict)

    async def sign_in(self, email: str = ADMIN, role: Role | None = None) -> Principal:
        """Add a person, the first as administrator, and sign the browser in as them."""
        accounts = self.services.accounts
        if role is None:
            await accounts.register(email, PASSWORD)
        else:
            admin = Principal(None, "system", Role.ADMIN, "system")
            await accounts.people.add(admin, email, PASSWORD, role)
        self.client.session.cookie_jar.clear()
        response = await self.post("/login", email=email, password=PASSWORD)
        assert response.status == 303, await response.text()
        principal = await accounts.sessions.whose(
            response.cookies["mcp_host_session"].value
        )
        assert principal
        self.csrf = principal.csrf_token
        return principal

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        """Ask as a browser does; redirects are answers."""
        return await self.client.get(
            path, headers={"Accept": "text/html", **headers}, allow_redirects=False
        )

    async def page(self, path: str) -> str:
        """Return a page that must be there."""
        response = await self.get(path)
        text = await response.text()
        assert response.status == 200, f"{path}: {response.status} {text}"
        return text

    async def post(self, path: str, **form: str) -> aiohttp.ClientResponse:
        """Send a form as a browser does, with the session's token."""
        return await self.client.post(
            path,
            data={"csrf_token": self.csrf, **form},
            headers={"Accept": "text/html"},
            allow_redirects=False,
        )

    async def host(
        self, principal: Principal, name: str, package: str = "pypi:mcp-server-time"
    ) -> ServerView:
        """Add a server."""
        new = NewServer(source=parse_source({"package": package}), name=name)
        return (await self.services.servers.create(principal, new))[0]

    async def run(self, name: str, manifest: dict[str, Any] | None = None) -> None:
        """Make a server one that runs, as the reconciler would."""

        def write() -> None:
            server = store.find(name)
            assert server
            deployment = _newest(server.id)
            store.set_built(
                deployment.id,
                image="sha256:" + "ab" * 32,
                resolved={"version": "1.2.3", "transport": "stdio"},
            )
            store.promote(
                store.get_deployment(deployment.id), manifest or TIME_MANIFEST
            )
            store.set_status(server.id, Status.RUNNING)

        await self.database.run(write)

    async def set_status(self, name: str, status: Status, reason: str = "") -> None:
        """Say what was observed of a server, as the reconciler would."""

        def write() -> None:
            server = store.find(name)
            assert server
            store.set_status(server.id, status, reason)

        await self.database.run(write)


def _newest(server_id: int) -> Deployment:
    found = store.deployment_in(server_id)
    assert found
    return found


@asynccontextmanager
async def hub(database: Database, **settings: Any) -> AsyncIterator[Hub]:
    """Start a hub without worker, clock and gateway, beside whatever runs on this box."""
    with TemporaryDirectory(prefix="mcp-host-hub-") as home:
        own: dict[str, Any] = {
            "jwt_secret": "s" * 32,
            "data_dir": Path(home) / "data",
            "run_dir": Path(home) / "run",
            "mcp_gateway_url": f"http://127.0.0.1:{free_port()}",
        }
        chosen = await asyncio.to_thread(load_settings, **own | settings)
        async with _hub(database, chosen) as running:
            yield running


@asynccontextmanager
async def _hub(database: Database, chosen: Settings) -> AsyncIterator[Hub]:
    engine = Engine(chosen.docker_host)
    builds = await asyncio.to_thread(
        BuildService, database, engine, chosen, owner=OWNER
    )
    events = EventLog(database)
    accounts = AccountService(
        database,
        *chosen.jwt_secrets,
        passwords_sign_in=chosen.password_sign_in,
        passwords=cheap_passwords(),
    )
    checks: dict[str, Check] = {"database": _well}
    async with aiohttp.ClientSession() as session:
        keeper = SourceKeeper(database, chosen)
        gateway = Gateway(session, chosen.mcp_gateway_url, "mcpi_test")
        mcp = McpClient(gateway)
        executor = DockerExecutor(
            engine, owner=OWNER, subnet_pool=chosen.server_subnet_pool
        )
        secrets = secrets_in(chosen.data_dir, database)
        domains = make_server_domains(database, chosen)
        servers = ServerService(
            database,
            executor,
            builds,
            mcp,
            keeper=keeper,
            secrets=secrets,
            gateway_public_url="http://gateway.example.org:4444",
            domains=domains,
        )
        ledger = LedgerService(database, servers=store.facts, targets=())
        services = Services(
            settings=chosen,
            accounts=accounts,
            alerts=make_alerts(database, chosen, {}).service,
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
                data_limit_bytes=chosen.server_data_limit_bytes,
            ),
            secrets=ServerSecrets(database, secrets),
            tool_reviews=ToolReviews(database),
            deployments=DeploymentService(database, builds),
            webhooks=WebhookService(
                database, chosen.jwt_secret.get_secret_value().encode()
            ),
            bundles=BundleService(
                database, mcp, gateway_public_url="http://gateway.example.org:4444"
            ),
            catalog=Catalog(
                database, site(chosen.public_url, chosen.mcp_gateway_url), domains
            ),
            ledger=ledger,
            evidence=evidence_for(database, chosen, ledger),
            evaluations=make_evaluations(
                database, chosen, ledger, gateway, hide=secrets.redactor
            ),
            policy=PolicyDocuments(database),
            policies=ServerPolicies(database, Gate(database, [executor])),
            front_door=FrontDoorService(database, chosen),
            backups=BackupService(database, chosen, installation="0a1b2c3d4e5f"),
            certificates=CertificateService(
                database, chosen, Sealer(*chosen.jwt_secrets)
            ),
            registry=RegistryUpkeep(
                database,
                chosen,
                CredentialKeeper(database, chosen, host=registry_host(chosen.registry)),
            ),
            checks=HealthService(
                database,
                servers,
                HealthWatch(database, Checker(gateway, executor)),
            ),
            files=FileService(
                database,
                LocalVolumes(chosen.data_dir / "volumes"),
                seen=seen_place,
                changed=changed_place,
                filled=filled_place,
                quota_bytes=chosen.files_quota,
                upload_bytes=chosen.files_upload_max_bytes,
            ),
            integrations=make_integrations(
                database, secrets, subnet_pool=chosen.server_subnet_pool
            ),
            invocations=InvocationService(
                database,
                visible=visible_id,
                people=emails,
                bundles=bundle_names,
                keep_days=30,
            ),
            output=output_for(database, chosen).service,
            measurements=measurements_for(database),
            oauth=make_authorization_server(database, chosen),
            signin=make_sign_in(database, chosen),
            governance=make_governance(database, chosen),
            promotions=make_promotions(database, live=live_digest),
            upstreams=upstreams_for(database, chosen, secrets.keeper),
            domains=domains,
            jobs=JobQueue(database),
            events=events,
            audit=AuditTrail(database),
            metrics=Metrics(),
            readiness=Readiness(checks, fresh_for_s=0),
        )
        # In a thread, as it reads templates and static files; the real hub does so before its loop runs.
        app = await asyncio.to_thread(make_app, services, setups=(install,))
        async with TestClient(TestServer(app)) as client:
            yield Hub(services, database, client, checks=checks)
        await events.close()
        accounts.close()
        await engine.close()
