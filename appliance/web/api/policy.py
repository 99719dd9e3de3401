"""/api/policy: what may run, why, and what would happen if."""

from http import HTTPStatus

from aiohttp import web

from appliance.policy.errors import NoDecisionError, NoDocumentError
from appliance.policy.model import Document
from appliance.policy.rules import KINDS
from appliance.policy.service import ANY
from appliance.web.api.marketplace import PlaceQuery
from appliance.web.api.policy_bodies import (
    ActivateBody,
    DecisionPage,
    DecisionsQuery,
    DiffAnswer,
    DiffQuery,
    DocumentAnswer,
    DocumentBody,
    DocumentPage,
    DryRunAnswer,
    DryRunBody,
    DryRunItem,
    ExplainAnswer,
    ExplainBody,
    KindAnswer,
    PolicyAnswer,
    StoredDecisionAnswer,
    VmAnswer,
    VmInstanceAnswer,
    WholeDecisionAnswer,
)
from appliance.web.keys import POLICIES, POLICY
from appliance.web.paging import one_page
from appliance.web.requests import (
    Access,
    move_time_limit,
    named,
    path_id,
    principal_of,
    row_id,
    server_of,
)
from appliance.web.routes import Routes

routes = Routes("policy")
_CHANGED = (HTTPStatus.CONFLICT,)
_NAMES = (HTTPStatus.NOT_FOUND,)
#: A dry run looks at every server of the box.
DRY_RUN_TIMEOUT_S = 120.0


@routes.get("/api/policy", summary="Show the policy that counts")
async def show(request: web.Request) -> PolicyAnswer:
    """With the kinds of rule that a document may have."""
    active = await request.app[POLICY].active()
    return PolicyAnswer(
        active=DocumentAnswer.of(active) if active else None,
        kinds=[
            KindAnswer(
                kind=name, meaning=kind.meaning, fields=["tiers", *kind.own_fields]
            )
            for name, kind in KINDS.items()
        ],
    )


@routes.get("/api/policy/documents", summary="List the policy's versions")
async def documents(request: web.Request, *, query: PlaceQuery) -> DocumentPage:
    """Newest first, each whole."""
    found = await request.app[POLICY].page(before=query.before(), limit=query.limit + 1)
    shown, last = one_page(found, query.limit)
    return DocumentPage(
        items=[DocumentAnswer.of(item) for item in shown],
        next_cursor=str(last.version) if last else None,
    )


@routes.post(
    "/api/policy/documents",
    summary="Write a version of the policy",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
    errors=_CHANGED,
)
async def create(request: web.Request, *, body: DocumentBody) -> DocumentAnswer:
    """It counts when it is made active. One that says the same as the newest is that one."""
    policy, principal = request.app[POLICY], principal_of(request)
    made = await policy.add(principal, body.written, note=body.note)
    if body.activate:
        active = await policy.activate(
            principal, made.version, expected=_expected(body.expected)
        )
        made = active or made
    return DocumentAnswer.of(made)


@routes.get("/api/policy/documents/{version}", summary="Show a version of the policy")
async def document(request: web.Request) -> DocumentAnswer:
    """Whether it counts or not."""
    return DocumentAnswer.of(await request.app[POLICY].get(_version(request)))


@routes.post(
    "/api/policy/documents/{version}/activate",
    summary="Let a version of the policy count",
    access=Access.ADMIN,
    errors=_CHANGED,
)
async def activate(request: web.Request, *, body: ActivateBody) -> DocumentAnswer:
    """What is held is looked at again at once; what runs goes on, unless the version ends what lost its certification."""
    found = await request.app[POLICY].activate(
        principal_of(request), _version(request), expected=_expected(body.expected)
    )
    return DocumentAnswer.of(_there(found))


@routes.post(
    "/api/policy/deactivate",
    summary="Let no policy count",
    access=Access.ADMIN,
    status=HTTPStatus.NO_CONTENT,
    errors=_CHANGED,
)
async def deactivate(request: web.Request, *, body: ActivateBody) -> None:
    """Everything that is held launches."""
    await request.app[POLICY].activate(
        principal_of(request), None, expected=_expected(body.expected)
    )


@routes.get(
    "/api/policy/diff", summary="Compare two versions of the policy", errors=_NAMES
)
async def diff(request: web.Request, *, query: DiffQuery) -> DiffAnswer:
    """The active one with the newest, unless others are named."""
    found = await request.app[POLICY].compare(query.before, query.after)
    return DiffAnswer(before=found.before, after=found.after, diff=found.text)


@routes.post(
    "/api/policy/dry-run",
    summary="See what another policy would change",
    access=Access.ADMIN,
    errors=_NAMES,
)
async def dry_run(request: web.Request, *, body: DryRunBody) -> DryRunAnswer:
    """Decides every server twice, as if it were launched now: by the active policy and by the other. Stores nothing."""
    move_time_limit(request, DRY_RUN_TIMEOUT_S)
    found = await request.app[POLICIES].dry_run(
        principal_of(request), body.written, body.version
    )
    return DryRunAnswer(items=[DryRunItem.of(item) for item in found])


@routes.post("/api/policy/explain", summary="See what would happen if", errors=_NAMES)
async def explain(request: web.Request, *, body: ExplainBody) -> ExplainAnswer:
    """Decides with the code that decides launches, on the facts of now, with what the body has otherwise. Stores nothing."""
    found = await request.app[POLICIES].explain(principal_of(request), body.question())
    return ExplainAnswer.of_ruling(found)


@routes.get("/api/policy/decisions", summary="List what was decided", errors=_NAMES)
async def decisions(request: web.Request, *, query: DecisionsQuery) -> DecisionPage:
    """Newest first, about servers that the caller may see. A hold that nothing changed is one decision."""
    found = await request.app[POLICIES].decisions(
        principal_of(request),
        server=named(query.server) if query.server else None,
        verdict=query.verdict,
        digest=query.digest,
        before=query.before(),
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return DecisionPage(
        items=[StoredDecisionAnswer.of_stored(item) for item in shown],
        next_cursor=str(last.id) if last else None,
    )


@routes.get("/api/policy/decisions/{decision}", summary="Show a decision")
async def decision(request: web.Request) -> WholeDecisionAnswer:
    """With all that it was made of, and whether that makes it again."""
    number = path_id(request, "decision", "There is no decision {}.", NoDecisionError)
    found, again = await request.app[POLICIES].decision(principal_of(request), number)
    return WholeDecisionAnswer(
        **StoredDecisionAnswer.of_stored(found).model_dump(),
        facts=found.facts,
        is_reproduced=again,
    )


@routes.get("/api/servers/{server}/vm", summary="Show what a server's instances run in")
async def vm(request: web.Request) -> VmAnswer:
    """The newest 50, with what became of each. Attestation is `unsupported` under container engines."""
    found = await request.app[POLICIES].instances(
        principal_of(request), server_of(request)
    )
    return VmAnswer(items=[VmInstanceAnswer.of(item) for item in found])


def _version(request: web.Request) -> int:
    text = request.match_info["version"]
    found = row_id(text)
    if found is None or found >= 2**31:
        raise NoDocumentError(f"There is no version {text} of the policy.")
    return found


def _expected(given: int | None) -> int | None:
    """Return what a caller believes is active, as the service has it."""
    return ANY if given is None else given or None


def _there(found: Document | None) -> Document:
    if found is None:
        raise NoDocumentError("There is no such version of the policy.")
    return found
