"""The hub's application: services in, an ``aiohttp`` application out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.accounts.orgs.invitations import InvitationService
from appliance.accounts.orgs.service import OrgService
from appliance.accounts.service import AccountService
from appliance.alerts.service import AlertService
from appliance.artifacts.service import LedgerService
from appliance.backups.service import BackupService
from appliance.bundles.service import BundleService
from appliance.certificates.service import CertificateService
from appliance.domains.service import DomainService
from appliance.evaluations.room import Evaluations
from appliance.evidence.service import EvidenceService
from appliance.files.service import FileService
from appliance.governance.room import Governance
from appliance.integrations.service import IntegrationService
from appliance.invocations.service import InvocationService
from appliance.jobs.queue import JobQueue
from appliance.measurements.service import MeasurementService
from appliance.oauth.room import AuthorizationServer
from appliance.observability.audit import AuditTrail
from appliance.observability.events import EventLog
from appliance.observability.metrics import Metrics
from appliance.output.service import OutputService
from appliance.policy.service import PolicyDocuments
from appliance.promotions.room import Promotions
from appliance.proxy.service import FrontDoorService
from appliance.registry.upkeep import RegistryUpkeep
from appliance.servers.catalog import Catalog
from appliance.servers.checks.service import HealthService
from appliance.servers.deployments import DeploymentService
from appliance.servers.egress_service import EgressService
from appliance.servers.isolating.service import IsolationService
from appliance.servers.policies import ServerPolicies
from appliance.servers.quotas.service import QuotaService
from appliance.servers.secret_settings import ServerSecrets
from appliance.servers.service import ServerService
from appliance.servers.sources import ServerSources
from appliance.servers.tool_reviews import ToolReviews
from appliance.servers.transfers import ServerTransfers
from appliance.servers.webhooks import WebhookService
from appliance.settings import Settings
from appliance.signin.room import SignIn
from appliance.upstreams.service import UpstreamService
from appliance.web import doors, keys
from appliance.web.api import ROUTES, discovery, oauth_protocol
from appliance.web.health import Readiness
from appliance.web.middleware import MIDDLEWARES, add_headers

#: Bytes of a request's body; nothing that the API takes comes near it.
MAX_BODY_BYTES = 1024 * 1024

#: Adds routes of its own to the application; the pages are one.
Setup = Callable[[web.Application], None]
CleanupContext = Callable[[web.Application], AsyncIterator[None]]


@dataclass(frozen=True)
class Services:
    """Everything that handlers call."""

    settings: Settings
    accounts: AccountService
    alerts: AlertService
    orgs: OrgService
    invitations: InvitationService
    quotas: QuotaService
    transfers: ServerTransfers
    servers: ServerService
    sources: ServerSources
    deployments: DeploymentService
    webhooks: WebhookService
    tool_reviews: ToolReviews
    secrets: ServerSecrets
    isolation: IsolationService
    egress: EgressService
    bundles: BundleService
    catalog: Catalog
    ledger: LedgerService
    registry: RegistryUpkeep
    front_door: FrontDoorService
    certificates: CertificateService
    evidence: EvidenceService
    evaluations: Evaluations
    policy: PolicyDocuments
    policies: ServerPolicies
    invocations: InvocationService
    checks: HealthService
    output: OutputService
    measurements: MeasurementService
    files: FileService
    integrations: IntegrationService
    oauth: AuthorizationServer
    signin: SignIn
    governance: Governance
    promotions: Promotions
    upstreams: UpstreamService
    backups: BackupService
    domains: DomainService
    jobs: JobQueue
    events: EventLog
    audit: AuditTrail
    metrics: Metrics
    readiness: Readiness
    heartbeat_s: float = 15.0


def make_app(  # noqa: PLR0915 - one key after another
    services: Services,
    *,
    setups: Sequence[Setup] = (),
    contexts: Sequence[CleanupContext] = (),
) -> web.Application:
    """Return the application with the API and whatever ``setups`` add.

    Args:
        setups: Each adds its routes; the pages also set ``ERROR_PAGE``.
        contexts: What starts and stops with the application, in this order: worker, clock, reconciler.
    """
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_BODY_BYTES)
    app[keys.SETTINGS] = services.settings
    app[keys.ACCOUNTS] = services.accounts
    app[keys.ALERTS] = services.alerts
    app[keys.ORGS] = services.orgs
    app[keys.INVITATIONS] = services.invitations
    app[keys.QUOTAS] = services.quotas
    app[keys.TRANSFERS] = services.transfers
    app[keys.SERVERS] = services.servers
    app[keys.SOURCES] = services.sources
    app[keys.DEPLOYMENTS] = services.deployments
    app[keys.WEBHOOKS] = services.webhooks
    app[keys.TOOL_REVIEWS] = services.tool_reviews
    app[keys.SECRETS] = services.secrets
    app[keys.ISOLATION] = services.isolation
    app[keys.EGRESS] = services.egress
    app[keys.BUNDLES] = services.bundles
    app[keys.CATALOG] = services.catalog
    app[keys.LEDGER] = services.ledger
    app[keys.EVIDENCE] = services.evidence
    app[keys.EVALUATIONS] = services.evaluations
    app[keys.CERTIFICATIONS] = services.evaluations.certifications
    app[keys.POLICY] = services.policy
    app[keys.POLICIES] = services.policies
    app[keys.REGISTRY] = services.registry
    app[keys.FRONT_DOOR] = services.front_door
    app[keys.CERTIFICATES] = services.certificates
    app[keys.INVOCATIONS] = services.invocations
    app[keys.BACKUPS] = services.backups
    app[keys.CHECKS] = services.checks
    app[keys.OUTPUT] = services.output
    app[keys.MEASUREMENTS] = services.measurements
    app[keys.FILES] = services.files
    app[keys.INTEGRATIONS] = services.integrations
    app[keys.OAUTH] = services.oauth
    app[keys.SIGNIN] = services.signin
    app[keys.GOVERNANCE] = services.governance
    app[keys.PROMOTIONS] = services.promotions
    app[keys.UPSTREAMS] = services.upstreams
    app[keys.DOMAINS] = services.domains
    app[keys.JOBS] = services.jobs
    app[keys.EVENTS] = services.events
    app[keys.AUDIT] = services.audit
    app[keys.METRICS] = services.metrics
    app[keys.READINESS] = services.readiness
    doors.set_up(app, services.settings)
    app[keys.STOPPING] = asyncio.Event()
    app[keys.HEARTBEAT_S] = services.heartbeat_s
    for routes in ROUTES:
        app.add_routes(routes.definitions)
    for setup in setups:
        setup(app)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(doors.open_to_origins)
    app.on_response_prepare.append(discovery.open_to_every_page)
    app.on_response_prepare.append(oauth_protocol.open_to_every_page)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.extend(contexts)
    return app


async def _end_streams(app: web.Application) -> None:
    app[keys.STOPPING].set()
