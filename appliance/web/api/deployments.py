"""/api/servers/{server}/deployments and /deploy-lock: history, comparison, going back, cancelling, locks."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from appliance.servers.deployments import Comparison, DeploymentView
from appliance.servers.deploys.model import DeployLock, Trigger
from appliance.servers.deploys.policy import as_dict
from appliance.servers.model import DeploymentState
from appliance.web.api.answer import Answer
from appliance.web.api.deploy_bodies import DeploysBody
from appliance.web.api.server_answers import DeploymentAnswer
from appliance.web.keys import DEPLOYMENTS
from appliance.web.paging import one_page
from appliance.web.parsing import Input
from appliance.web.requests import principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("deployments")
CONFLICT = (HTTPStatus.CONFLICT,)
_ONE = "/api/servers/{server}/deployments/{number:[0-9]{1,9}}"


class DeploymentQuery(Input):
    """Which deployments."""

    state: DeploymentState | None = Field(None, description="Only those of this state.")
    trigger: Trigger | None = Field(None, description="Only those started by this.")
    cursor: int | None = Field(
        None, ge=1, lt=2**31, description="`next_cursor` of the page before."
    )
    limit: int = Field(20, ge=1, le=100, description="Deployments a page.")


class DeploymentDetail(DeploymentAnswer):
    """One deployment of a server's history."""

    is_retained: bool = Field(description="Whether it can be gone back to.")

    @classmethod
    def of_view(cls, view: DeploymentView) -> Self:
        """Return ``view`` as it is answered."""
        plain = DeploymentAnswer.of(view.deployment).model_dump()
        return cls(**plain, is_retained=view.is_retained)


class DeploymentPage(Answer):
    """Some deployments, newest first."""

    items: list[DeploymentDetail]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class CompareQuery(Input):
    """With which one."""

    against: int | None = Field(
        None,
        ge=1,
        lt=2**31,
        description="Number of the other deployment; absent: the one that was live before.",
    )


class ChangeAnswer(Answer):
    """One field that differs."""

    field: str = Field(description="Such as `config.environment.LEVEL`.")
    before: Any = Field(description="null: it was not there.")
    after: Any = Field(description="null: it is not there.")


class ComparisonAnswer(Answer):
    """How a deployment differs from another."""

    before: int | None = Field(
        description="Number of the other; null: there was none before."
    )
    after: int
    changes: list[ChangeAnswer]

    @classmethod
    def of(cls, found: Comparison) -> Self:
        """Return ``found`` as it is answered."""
        return cls(
            before=found.before.number if found.before else None,
            after=found.after.number,
            changes=[
                ChangeAnswer(field=item.field, before=item.before, after=item.after)
                for item in found.changes
            ],
        )


class DeploymentLogQuery(Input):
    """From where on."""

    after: int = Field(0, ge=0, lt=2**31, description="Number of the last line read.")


class LogLineAnswer(Answer):
    """One line of a build's log."""

    number: int
    text: str


class DeploymentLog(Answer):
    """Lines of the build that made a deployment's image."""

    items: list[LogLineAnswer]


class LockBody(Input):
    """Why a server is not to be deployed."""

    reason: str = Field(
        description="Told to whoever is refused.",
        json_schema_extra={"minLength": 1, "maxLength": 500},
    )


class LockAnswer(Answer):
    """Whether a server may be deployed."""

    is_locked: bool
    reason: str = Field(description="Empty: it is not locked.")
    locked_by: str
    locked_at: datetime | None

    @classmethod
    def of(cls, lock: DeployLock | None) -> Self:
        """Return ``lock`` as it is answered."""
        if lock is None:
            return cls(is_locked=False, reason="", locked_by="", locked_at=None)
        return cls(
            is_locked=True,
            reason=lock.reason,
            locked_by=lock.locked_by,
            locked_at=lock.locked_at,
        )


@routes.get("/api/servers/{server}/deployments", summary="List deployments")
async def index(request: web.Request, *, query: DeploymentQuery) -> DeploymentPage:
    """Every attempt to make a version live, newest first: who started it and by what, what became of it, and why."""
    found = await request.app[DEPLOYMENTS].page(
        principal_of(request),
        server_of(request),
        states=[query.state] if query.state else (),
        triggers=[query.trigger] if query.trigger else (),
        before=query.cursor,
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return DeploymentPage(
        items=[DeploymentDetail.of_view(view) for view in shown],
        next_cursor=last.deployment.number if last else None,
    )


@routes.get(_ONE, summary="Show a deployment")
async def show(request: web.Request) -> DeploymentDetail:
    """One attempt, by its number within the server."""
    return DeploymentDetail.of_view(
        await request.app[DEPLOYMENTS].get(
            principal_of(request), server_of(request), _number(request)
        )
    )


@routes.get(f"{_ONE}/diff", summary="Compare deployments")
async def compare(request: web.Request, *, query: CompareQuery) -> ComparisonAnswer:
    """The fields of source, configuration, resolution and image that differ; values whose names look secret are hidden."""
    found = await request.app[DEPLOYMENTS].compare(
        principal_of(request),
        server_of(request),
        _number(request),
        against=query.against,
    )
    return ComparisonAnswer.of(found)


@routes.get(f"{_ONE}/log", summary="Show a deployment's build log")
async def log(request: web.Request, *, query: DeploymentLogQuery) -> DeploymentLog:
    """Up to 1,000 lines of the build that made its image; empty where nothing was built."""
    lines = await request.app[DEPLOYMENTS].log(
        principal_of(request),
        server_of(request),
        _number(request),
        after=query.after,
    )
    return DeploymentLog(
        items=[LogLineAnswer(number=line.number, text=line.text) for line in lines]
    )


@routes.post(
    f"{_ONE}/rollback",
    summary="Go back to a deployment",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def rollback(request: web.Request) -> DeploymentDetail:
    """Make a new deployment from an earlier one's image, source and configuration, without a build.

    What runs now serves until it answers. `deploys.retain` says how many can be gone back to.
    """
    view = await request.app[DEPLOYMENTS].rollback(
        principal_of(request), server_of(request), _number(request)
    )
    return DeploymentDetail.of_view(view)


@routes.post(
    f"{_ONE}/cancel",
    summary="Cancel a deployment",
    status=HTTPStatus.ACCEPTED,
    errors=CONFLICT,
)
async def cancel(request: web.Request) -> DeploymentDetail:
    """End a deployment that is on its way; what is live goes on."""
    view = await request.app[DEPLOYMENTS].cancel(
        principal_of(request), server_of(request), _number(request)
    )
    return DeploymentDetail.of_view(view)


@routes.put(
    "/api/servers/{server}/deploy-policy",
    summary="Change how versions take each other's place",
    errors=CONFLICT,
)
async def set_policy(request: web.Request, *, body: DeploysBody) -> DeploysBody:
    """Replace `deploys` of the configuration; it holds at once, and nothing is redeployed."""
    policy = await request.app[DEPLOYMENTS].set_policy(
        principal_of(request), server_of(request), body.policy()
    )
    return DeploysBody.model_validate(as_dict(policy))


@routes.get("/api/servers/{server}/deploy-lock", summary="Show the deploy lock")
async def lock_of(request: web.Request) -> LockAnswer:
    """Whether the server is locked against deployments, by whom and why."""
    return LockAnswer.of(
        await request.app[DEPLOYMENTS].lock_of(
            principal_of(request), server_of(request)
        )
    )


@routes.post(
    "/api/servers/{server}/deploy-lock",
    summary="Lock deployments",
    errors=CONFLICT,
)
async def lock(request: web.Request, *, body: LockBody) -> LockAnswer:
    """Refuse redeploys, rollbacks, webhooks and changes of configuration that redeploy, with 409 that names who and why.

    A lock that is there stays. A version whose calls fail is taken back all the same: a lock keeps new things out.
    """
    return LockAnswer.of(
        await request.app[DEPLOYMENTS].lock(
            principal_of(request), server_of(request), body.reason
        )
    )


@routes.delete(
    "/api/servers/{server}/deploy-lock",
    summary="Unlock deployments",
    errors=CONFLICT,
)
async def unlock(request: web.Request) -> None:
    """Let the server be deployed again."""
    await request.app[DEPLOYMENTS].unlock(principal_of(request), server_of(request))


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])
