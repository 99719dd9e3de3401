"""What each route of the hub asks of whoever uses it, and what is sent to it.

It follows from where the route is: what is about a server needs a right on that server, and so on. Of a route that no rule
covers nothing is known, which the matrix reports.
"""

import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from appliance.accounts.access import Kind
from appliance.accounts.model import Action
from appliance.certificates.own_ca import OwnCa
from appliance.core.clock import now
from appliance.web.requests import Access

PARAMETER = re.compile(r"{(\w+)(?::(?:[^{}]|{[^{}]*})*)?}")
_SERVICE = {
    "kind": "custom",
    "name": "x{n}",
    "prefix": "P{n}",
    "variables": {"A{n}": "b"},
}
_CERTIFICATION = {"policy_requirement": "smoke", "status": "pass"}
_TEST = {"name": "t", "tool": "x", "expectation": {"kind": "error"}}
_TARGET = {"manifest_digest": "sha256:" + "a" * 64, "tier": "gold:npm"}
_TRACK = {"name": "t{n}", "stages": ["canary"]}
_REMOTE = {"remote_url": "https://mcp.example.org/mcp"}


@dataclass(frozen=True)
class Need:
    """What a route asks of whoever uses it."""

    #: ``None``: only who they are (``level``).
    kind: Kind | None = None
    action: Action = Action.SEE
    level: str = "thing"


@dataclass(frozen=True)
class Route:
    """One route of the router."""

    method: str
    path: str
    access: Access

    @property
    def name(self) -> str:
        """As it is reported."""
        plain = PARAMETER.sub(r"{\1}", self.path)
        return f"{self.method} {plain}"


DEPLOYS = re.compile(
    r"(?<!{domain_id})/(start|stop|redeploy|check|deploy-lock|deploy-lock/remove|dependencies|rollback|cancel|certifications|evaluations/replay|suites/{suite}/run|runs/{run}/accept|accepted/{accepted}|accepted/{accepted}/remove|evaluations/certify)$"
)
#: What is done with runs and promotions, and not with what decides about them.
MOVES = re.compile(r"/(runs|status|approve|reject|hold|release|rollback)$")
CALLS = re.compile(r"/(invoke|call|evaluations/try|account/connect)$")
#: About the caller alone: whoever is signed in.
OWN = re.compile(
    r"^(/api)?/(me|sessions|keys|logout|events|tokens|settings/(keys|sessions|identities|password|apps|accounts|totp)|connections|live/servers|palette|health(/dot)?|marketplace(/catalog)?"
    r"|certificates/own-ca.pem|evidence/keys?|evaluations|policy|governance|promotions|oauth/(grants|clients|consent)|invitations?|artifacts|domains|servers|bundles|orgs|settings/orgs|sources/server-json)(/.*)?$"
)
#: Adding something: whoever may add it for themselves.
CREATES = frozenset(
    {
        *("POST /api/servers", "POST /api/bundles", "POST /api/orgs"),
        *("POST /api/uploads", "GET /bundles/new", "POST /bundles/new"),
        *("POST /servers/new", "POST /settings/orgs"),
        *("POST /api/governance/workflows", "POST /api/promotions/tracks"),
        *("POST /governance/workflows/new", "POST /governance/tracks/new"),
    }
)
#: About the account of a person, which keys of organisations have none of.
FOR_PEOPLE = re.compile(
    r" /api/(me/totp|me/quotas|me/identities|me/password|sessions|oauth/(grants|clients)$)"
    r"| /settings/(sessions|totp|identities/{|apps$)"
    r"| /api/keys$| /settings/keys$|^POST (/api/invitations/accept|/invitation)$"
)
#: What no narrowed key and no token does: make more of itself.
FOR_WHOLE = re.compile(
    r"^(DELETE /api/(sessions|me/identities)|PUT /api/me/password"
    r"|POST (/api/keys$|/api/me/totp|/settings/keys$|/settings/(sessions/|identities/{)))"
)
#: What a token does, but nothing that is narrowed: join an organisation.
FOR_UNNARROWED = re.compile(r"^POST (/api/invitations/accept|/invitation)$")
#: Of the API, what reads a thing before it does something with it.
READS_FIRST = re.compile(
    r"^((PUT|DELETE) /api/servers/{server}/(dockerfile|egress|health|isolation)|POST /api/servers/{server}/(check|egress/allow)"
    r"|POST /api/artifacts/{artifact}/(evidence/retry|evaluations))$"
)
#: What readers of the box do not even list.
NOT_FOR_READERS = re.compile(
    r"^/api/oauth/clients$|/(artifacts|marketplace)/{artifact}/deploy$"
)
#: What readers of the box may see of it, besides administrators.
OF_THE_BOX = re.compile(r"^(/api/artifacts/chain|/api/audit.*|/activity/audit.*)$")


def need_of(route: Route) -> Need | None:
    """Return what a route needs; ``None``: no rule covers it."""
    if route.access not in {Access.USER, Access.ADMIN}:
        return Need(level="open")
    if route.access is Access.ADMIN:
        return Need(level="admin")
    if OF_THE_BOX.match(route.path):
        return Need(level="box")
    if route.name in CREATES:
        return Need(level="create")
    for kind, name in (
        (Kind.SERVER, "server"),
        (Kind.BUNDLE, "bundle"),
        (Kind.ORG, "org"),
        (Kind.ARTIFACT, "artifact"),
        (Kind.WORKFLOW, "workflow"),
        (Kind.WORKFLOW, "run"),
        (Kind.TRACK, "track"),
        (Kind.TRACK, "promotion"),
        (Kind.TRACK, "train"),
    ):
        if f"/{{{name}}}" in route.path.replace("/members/{server}", ""):
            return Need(kind, _action(kind, route))
    return Need(level="own") if OWN.match(route.path) else None


def _action(kind: Kind, route: Route) -> Action:
    """Return the action that a route about a thing needs."""
    path, is_itself = route.path, route.path.endswith("}")
    if kind is Kind.ORG and re.search("/(invitations|members)", path):
        is_read = route.method == "GET" and "/members" in path
        return Action.SEE if is_read else Action.MANAGE
    if route.method == "GET":
        return Action.SEE
    if path.endswith(("/transfer", "/account/mode")):
        return Action.TRANSFER
    if CALLS.search(path):
        return Action.CALL
    if path.endswith("}/delete") or (is_itself and route.method == "DELETE" and path.count("{") == 1):  # fmt: skip
        return Action.DELETE
    if kind in {Kind.WORKFLOW, Kind.TRACK}:
        return Action.DEPLOY if MOVES.search(path) else Action.CHANGE
    if kind is Kind.ARTIFACT:
        return Action.SEE if path.endswith("/deploy") else Action.DEPLOY
    return Action.DEPLOY if DEPLOYS.search(path) else Action.CHANGE


def routes_of(app: web.Application) -> list[Route]:
    """Return every route that has a handler of ours; what answers HEAD and OPTIONS is that of GET."""
    found = {
        (route.method, route.resource.canonical, getattr(route.handler, "__access__", Access.USER))
        for route in app.router.routes()
        if route.resource is not None and route.method not in {"HEAD", "OPTIONS"}
        and not route.resource.canonical.startswith("/static")
    }  # fmt: skip
    return [Route(*item) for item in sorted(found)]


#: What is sent where nothing is not enough; ``{n}``: another number each time. The rest is sent ``{}`` or an empty form.
_PEM = OwnCa.made(now()).issue(["x.example.org"], now())
_CHAIN = {"chain": _PEM.chain, "key": _PEM.key.decode()}
BODIES: dict[str, Any] = {
    "POST /api/certificates": {"names": ["x{n}.example.org"]},
    "POST /api/certificates/upload": _CHAIN,
    "POST /settings/certificates": {"names": "x{n}.example.org"},
    "POST /settings/certificates/upload": _CHAIN,
    "POST /servers/{server}/evaluations/test": {
        "name": "t{n}",
        "tool": "x",
        "expectation": '{"kind": "error"}',
    },
    "POST /servers/{server}/evaluations/certify": _CERTIFICATION,
    "POST /marketplace/{artifact}/certify": _CERTIFICATION,
    "POST /api/servers/{server}/evaluations/tests": {**_TEST, "name": "t{n}"},
    "PUT /api/servers/{server}/evaluations/tests/{test}": _TEST,
    "POST /api/servers/{server}/evaluations/try": _TEST,
    "POST /api/artifacts/{artifact}/evaluations": _CERTIFICATION,
    "POST /api/servers/{server}/certifications": _CERTIFICATION,
    "POST /api/governance/callbacks/{step}": {"outcome": "passed"},
    "POST /api/servers": {**_REMOTE, "name": "s{n}"},
    "POST /api/bundles": {"name": "b{n}"},
    "POST /api/orgs": {"name": "o{n}"},
    "POST /api/policy/documents": {"document": {"version": 1, "rules": []}},
    "POST /api/policy/explain": {"server_type": "npm"},
    "POST /api/governance/workflows": {"name": "w{n}"},
    "PUT /api/governance/workflows/{workflow}": {"name": "w{n}"},
    "POST /api/governance/workflows/{workflow}/runs": _TARGET,
    "POST /api/governance/runs/{run}/status": {"status": "cancelled"},
    "POST /api/promotions/tracks": _TRACK,
    "POST /governance/workflows/new": {"name": "w{n}"},
    "POST /governance/workflows/{workflow}": {"name": "w{n}"},
    "POST /governance/runs/{run}/status": {"status": "cancelled"},
    "POST /governance/tracks/new": {"name": "t{n}", "stages": "canary"},
    "POST /governance/tracks/{track}/settings": {"name": "t{n}", "stages": "canary"},
    "PUT /api/promotions/tracks/{track}": _TRACK,
    "POST /api/keys": {"name": "k"},
    "PUT /api/me/password": {"current": "wrong horse {n}", "new": "correct horse {n}"},
    "POST /api/orgs/{org}/members": {"email": "dan@example.org", "role": "deployer"},
    "PATCH /api/orgs/{org}/members/{user_id}": {"role": "deployer"},
    "POST /api/orgs/{org}/invitations": {"role": "reader"},
    "POST /api/invitations/look": {"token": "x"},
    "POST /api/invitations/accept": {"token": "x"},
    "POST /api/servers/{server}/invoke": {"tool": "x"},
    "POST /api/servers/{server}/settings": {"settings": {"A": "b"}},
    "POST /api/servers/{server}/folders": {"path": "f{n}"},
    "POST /api/servers/{server}/files/{path}": {"to": "y{n}"},
    "POST /api/servers/{server}/services": _SERVICE,
    "POST /api/servers/{server}/domains": {"host": "d{n}.example.org"},
    "POST /servers/{server}/domains": {"host": "e{n}.example.org"},
    "PUT /api/servers/{server}/services/{service_id}": _SERVICE,
    "POST /api/servers/{server}/deploy-lock": {"reason": "x"},
    "POST /api/servers/{server}/secrets": {"name": "S{n}", "value": "v"},
    "PUT /api/servers/{server}/secrets/{name}": {"value": "v"},
    "POST /api/servers/{server}/tool-changes/approve": {"changes": [1], "reason": "x"},
    "POST /api/servers/{server}/tool-changes/reject": {"changes": [1], "reason": "x"},
    "PUT /api/servers/{server}/dockerfile": {"dockerfile": "FROM scratch\n"},
    "POST /api/bundles/{bundle}/invoke": {"tool": "x"},
    "POST /api/users": {"email": "n{n}@example.org", "password": "correct horse {n}"},
    "POST /api/users/{user_id}/identities": {"subject": "s{n}"},
    "POST /api/servers/{server}/transfer": {"user": ""},
    "POST /api/connections/finish": {"callback_url": "https://x.example/?state=x"},
    "PUT /api/servers/{server}/account/mode": {"mode": "each"},
    "PUT /api/servers/{server}/account/client": {"client_id": ""},
    "POST /policy": {"text": "version: 1\nrules: []\n", "deed": "store"},
    "POST /bundles/new": {"name": "b{n}", "separator": "__"},
    "POST /bundles/{bundle}/settings": {"separator": "__"},
    "POST /servers/new": {**_REMOTE, "kind": "remote", "name": "s{n}"},
    "POST /servers/{server}/deploy-lock": {"reason": "x"},
    "POST /servers/{server}/dockerfile": {"dockerfile": "FROM scratch\n"},
    "POST /servers/{server}/files/folder": {"name": "f{n}"},
    "POST /servers/{server}/review/setting": {"pinning": "warn"},
    "POST /servers/{server}/secrets": {
        "name": "S{n}",
        "secret_value": "v",
        "delivery": "env",
    },
    "POST /servers/{server}/services": {
        "kind": "custom",
        "name": "x{n}",
        "prefix": "P{n}",
        "variables": "A{n}=b",
    },
    "POST /api/alerts/channels": {
        "kind": "webhook",
        "address": "https://x.example/{n}",
    },
    "POST /alerts/channels": {"kind": "webhook", "address": "https://x.example/{n}"},
    "POST /api/alerts/{alert_id}/silence": {"hours": 1},
    "POST /alerts/{alert_id}/silence": {"hours": "1"},
    "POST /settings/keys": {"name": "k", "days": "7"},
    "POST /settings/orgs": {"name": "o{n}"},
    "POST /settings/orgs/{org}/invitations": {"role": "reader", "days": "7"},
    "POST /settings/orgs/{org}/members": {
        "email": "dan@example.org",
        "role": "deployer",
    },
    "POST /settings/people/{id}": {"role": "member"},
    "POST /settings/people": {
        "email": "n{n}@example.org",
        "password": "correct horse {n}",
        "role": "member",
    },
}
#: What cannot be asked of this hub, or tells its refusal inside a page, and why; of these only callers without a key that works
#: are looked at here.
ELSEWHERE = {
    "POST /api/evaluations/{evaluation}/files": "takes a file",
    "POST /api/servers/{server}/evaluations/suites": "takes a test that is there",
    "PUT /api/servers/{server}/evaluations/suites/{suite}": "takes a test that is there",
    "POST /servers/{server}/evaluations/suite": "takes a test that is there",
    "POST /servers/{server}/evaluations/try": "tells a refusal beside the form",
    "POST /api/servers/{server}/archive": "takes a file",
    "POST /api/servers/{server}/files": "takes a file",
    "POST /api/uploads": "takes a file",
    "POST /servers/{server}/archive": "takes a file",
    "POST /servers/{server}/files/upload": "takes a file",
    "POST /servers/{server}/files/move": "takes a file that is there",
    "POST /servers/{server}/files/remove": "takes a file that is there",
    "POST /api/servers/{server}/egress/allow": "takes what was proposed",
    "POST /api/servers/{server}/secrets/move": "takes a variable that is there",
    "POST /servers/{server}/secrets/move": "takes a variable that is there",
    "PUT /api/servers/{server}/source/credential": "takes a server of a repository",
    "POST /api/sources/server-json": "takes a registry's entry",
    "POST /api/promotions/schedule": "names its track in what it takes",
    "POST /api/promotions/trains": "names its track in what it takes",
    "POST /api/governance/runs/{run}/steps/{position}/approve": "is for those whom the step names",
    "POST /api/governance/runs/{run}/steps/{position}/reject": "is for those whom the step names",
    "POST /api/promotions/{promotion}/approve": "is for people alone",
    "POST /governance/promotions/{promotion}/approve": "is for people alone",
    "POST /governance/runs/{run}/decide": "is for those whom the step names",
    "POST /governance/tracks/{track}/schedule": "takes a digest",
    "POST /governance/tracks/{track}/trains": "takes digests",
    "POST /governance/trains/{train}/approve": "is for people alone",
    "POST /api/promotions/trains/{train}/approve": "is for people alone",
    "POST /api/oauth/clients": "takes an administrator's grant",
    "POST /oauth/consent": "takes a question that was asked",
    "POST /bundles/{bundle}/members": "takes a server beside the bundle",
    "POST /servers/{server}/call": "tells a refusal beside the tool",
    "POST /bundles/{bundle}/call": "tells a refusal beside the tool",
    "POST /servers/{server}/services/{service_id}/test": "tells a refusal beside the service",
    "POST /servers/{server}/settings": "takes a setting that is missing",
    "POST /servers/{server}/webhook/remove": "takes a webhook that is there",
    "POST /api/tokens": "what it takes depends on who asks",
    "POST /settings/apps/clients": "what it takes depends on who asks",
    "POST /settings/totp": "a wrong password is answered 401, as a wrong caller",
    "POST /api/me/totp/confirm": "takes a code",
    "POST /api/me/totp/recovery-codes": "takes a code",
    "POST /api/me/totp/off": "takes a code",
    "POST /settings/totp/confirm": "takes a code",
    "POST /settings/totp/recovery-codes": "takes a code",
    "POST /settings/totp/off": "takes a code",
    "POST /settings/password": "a wrong password is answered 401, as a wrong caller",
    "POST /servers/{server}/transfer": "takes a target that differs by caller",
    "POST /bundles/{bundle}/transfer": "takes a target that differs by caller",
}
#: What brings something to whoever asks, who needs to be somebody who may add it.
COMES_TO_THEM = re.compile(r"}/transfer$|/{artifact}/deploy$")
#: Of two things; to who does not see the second it is none, and the request is wrong.
ADDS_A_MEMBER = "PUT /api/bundles/{bundle}/members/{server}"
#: What changes the world for whoever asks next.
RESTORED = re.compile(r"/members/|^/marketplace/{artifact}/deploy$")
#: Things that end with the request that asks for it: each is asked of a thing of its own.
ENDS = re.compile(
    r"(/transfer|}/delete|/(runs|promotions|trains)/.*/(status|approve|reject|hold|release|rollback))$"
)
