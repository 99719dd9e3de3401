"""What the application and a request carry, each under a typed key."""

import asyncio

from aiohttp import web

from appliance.accounts.model import Principal
from appliance.accounts.orgs.invitations import InvitationService
from appliance.accounts.orgs.service import OrgService
from appliance.accounts.service import AccountService
from appliance.alerts.service import AlertService
from appliance.artifacts.service import LedgerService
from appliance.backups.service import BackupService
from appliance.bundles.service import BundleService
from appliance.certificates.service import CertificateService
from appliance.core.proxies import Caller, TrustedProxies
from appliance.domains.service import DomainService
from appliance.evaluations.certifying import CertificationService
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
from appliance.web.health import Readiness
from appliance.web.problems import ErrorPage

SETTINGS = web.AppKey("settings", Settings)
ACCOUNTS = web.AppKey("accounts", AccountService)
ALERTS = web.AppKey("alerts", AlertService)
ORGS = web.AppKey("orgs", OrgService)
QUOTAS = web.AppKey("quotas", QuotaService)
INVITATIONS = web.AppKey("invitations", InvitationService)
TRANSFERS = web.AppKey("transfers", ServerTransfers)
CATALOG = web.AppKey("catalog", Catalog)
LEDGER = web.AppKey("ledger", LedgerService)
POLICY = web.AppKey("policy", PolicyDocuments)
POLICIES = web.AppKey("policies", ServerPolicies)
CERTIFICATIONS = web.AppKey("certifications", CertificationService)
EVALUATIONS = web.AppKey("evaluations", Evaluations)
EVIDENCE = web.AppKey("evidence", EvidenceService)
SERVERS = web.AppKey("servers", ServerService)
SOURCES = web.AppKey("sources", ServerSources)
SECRETS = web.AppKey("secrets", ServerSecrets)
DEPLOYMENTS = web.AppKey("deployments", DeploymentService)
WEBHOOKS = web.AppKey("webhooks", WebhookService)
TOOL_REVIEWS = web.AppKey("tool_reviews", ToolReviews)
EGRESS = web.AppKey("egress", EgressService)
ISOLATION = web.AppKey("isolation", IsolationService)
REGISTRY = web.AppKey("registry", RegistryUpkeep)
FRONT_DOOR = web.AppKey("front_door", FrontDoorService)
CERTIFICATES = web.AppKey("certificates", CertificateService)
INVOCATIONS = web.AppKey("invocations", InvocationService)
BUNDLES = web.AppKey("bundles", BundleService)
CHECKS = web.AppKey("checks", HealthService)
OUTPUT = web.AppKey("output", OutputService)
FILES = web.AppKey("files", FileService)
INTEGRATIONS = web.AppKey("integrations", IntegrationService)
MEASUREMENTS = web.AppKey("measurements", MeasurementService)
OAUTH = web.AppKey("oauth", AuthorizationServer)
SIGNIN = web.AppKey("signin", SignIn)
GOVERNANCE = web.AppKey("governance", Governance)
PROMOTIONS = web.AppKey("promotions", Promotions)
DOMAINS = web.AppKey("domains", DomainService)
UPSTREAMS = web.AppKey("upstreams", UpstreamService)
JOBS = web.AppKey("jobs", JobQueue)
EVENTS = web.AppKey("events", EventLog)
AUDIT = web.AppKey("audit", AuditTrail)
BACKUPS = web.AppKey("backups", BackupService)
METRICS = web.AppKey("metrics", Metrics)
READINESS = web.AppKey("readiness", Readiness)
#: Renders errors for whoever accepts HTML; the pages set it, the API works without.
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("error_page")
#: Set when the hub stops, so that streams end instead of holding it up.
STOPPING = web.AppKey("stopping", asyncio.Event)
#: Seconds between comments that keep proxies from closing a silent stream and tell us of clients that left. As often a
#: stream's reader is asked again who they are.
HEARTBEAT_S = web.AppKey("heartbeat_s", float)

#: Ties the request, its jobs and its log lines together; every answer carries it.
REQUEST_ID = web.RequestKey("request_id", str)
PROXIES = web.AppKey("proxies", TrustedProxies)
#: From where, and under which name they reached the hub.
CALLER = web.RequestKey("caller", Caller)
#: Who asks; absent when nobody is signed in.
PRINCIPAL = web.RequestKey("principal", Principal)
#: The running time limit; streams and long calls move it.
TIME_LIMIT = web.RequestKey("time_limit", asyncio.Timeout)

SESSION_COOKIE = "mcp_host_session"
#: Of a browser that is on its way to the provider and back; what follows tells one way from another.
SIGNIN_COOKIE = "mcp_host_signin_"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
WEBHOOK_SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name
WEBHOOK_SIGNATURE_HEADER = "X-Hub-Signature-256"
REQUEST_ID_HEADER = "X-Request-Id"
#: Why somebody writes, in their words, for the audit trail.
REASON_HEADER = "X-Audit-Reason"
