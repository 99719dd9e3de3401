"""What people do with workflows."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.accounts.access import Kind, can, new_of, require_found, sight
from appliance.accounts.access import Verdict as Access
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs import store as orgs
from appliance.accounts.orgs.ownership import new_owner
from appliance.core.errors import InvalidError
from appliance.core.names import check_label
from appliance.core.tiers import is_pattern
from appliance.governance import store as runs
from appliance.governance import workflow_store as store
from appliance.governance.errors import WorkflowInUseError, WorkflowNotFoundError
from appliance.governance.model import NewWorkflow, Notify, Step, Workflow
from appliance.governance.steps import APPROVAL, KINDS
from appliance.governance.steps.base import LONGEST_S, MAX_TEXT
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.notifying.signing import url_problem
from appliance.observability.audit import record as audit

MAX_STEPS = 20
MAX_NOTIFIED = 20
#: What a workflow's outgoing calls are signed with; in front of it, so that scanners recognise it.
SECRET_PREFIX = "mcpg_"  # noqa: S105 - a prefix
SEALED_FOR = "governance"


@dataclass(frozen=True)
class WorkflowView:
    """A workflow as people see it."""

    workflow: Workflow
    #: Name of the organisation that it belongs to; empty: it is a person's.
    org: str
    open_runs: int


class WorkflowService:
    """Lists, makes and changes workflows on behalf of a principal; a workflow is named by its id or its name.

    Whoever may not know of a workflow gets ``WorkflowNotFoundError``; whoever may see but not change it ``NotAllowedError``.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        """Keep the collaborators."""
        self._database = database
        self._sealer = sealer

    async def page(
        self, principal: Principal, *, after: str = "", limit: int = 50
    ) -> list[WorkflowView]:
        """Return up to ``limit`` workflows that the principal may see, by name, from the first name after ``after``."""

        def read() -> list[WorkflowView]:
            return _views(store.page(sight(principal), after=after, limit=limit))

        return await self._database.run(read)

    async def get(self, principal: Principal, workflow: int | str) -> WorkflowView:
        """Return one workflow."""
        return await self._database.run(
            lambda: _views([visible(principal, workflow)])[0]
        )

    async def create(
        self, principal: Principal, new: NewWorkflow
    ) -> tuple[WorkflowView, str]:
        """Add a workflow; return it with the secret that its calls are signed with, shown this once.

        Raises:
            InvalidError: A field is wrong; every one is named.
            NotAllowedError: The principal may not make workflows there.
            WorkflowNameTakenError: Another one has the name.
        """
        wanted = checked(new)
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)

        def write() -> WorkflowView:
            owner = new_owner(principal, Kind.WORKFLOW, new.org)
            workflow_id = store.add(
                _with_orgs(principal, wanted),
                owner=owner,
                created_by=principal.name,
                secret=self._sealer.seal(secret.encode(), SEALED_FOR),
            )
            made = store.get(workflow_id)
            _audit(principal, "create", made, after=_told(made))
            return _views([made])[0]

        return await self._database.run(write), secret

    async def change(
        self,
        principal: Principal,
        workflow: int | str,
        new: NewWorkflow,
        *,
        version: int | None = None,
    ) -> WorkflowView:
        """Replace what a workflow says; runs that go on keep the steps they began with.

        Args:
            principal: Who changes it.
            workflow: Which.
            new: All of it; to whom it belongs stays.
            version: What the principal saw; ``None``: whatever there is.

        Raises:
            InvalidError: A field is wrong; every one is named.
            StaleVersionError: Somebody changed it meanwhile.
        """
        wanted = checked(new)

        def write() -> WorkflowView:
            store.lock(visible(principal, workflow, Action.CHANGE).id)
            found = visible(principal, workflow, Action.CHANGE)
            store.change(found, _with_orgs(principal, wanted), version)
            changed = store.get(found.id)
            _audit(
                principal, "change", changed, before=_told(found), after=_told(changed)
            )
            return _views([changed])[0]

        return await self._database.run(write)

    async def rotate_secret(self, principal: Principal, workflow: int | str) -> str:
        """Return a new secret for the calls of later runs, shown this once."""
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)

        def write() -> None:
            found = visible(principal, workflow, Action.CHANGE)
            store.set_secret(found.id, self._sealer.seal(secret.encode(), SEALED_FOR))
            _audit(principal, "rotate_secret", found)

        await self._database.run(write)
        return secret

    async def delete(self, principal: Principal, workflow: int | str) -> None:
        """Remove a workflow; what ran of it stays in the history.

        Raises:
            WorkflowInUseError: A run of it goes on.
        """

        def write() -> None:
            store.lock(visible(principal, workflow, Action.DELETE).id)
            found = visible(principal, workflow, Action.DELETE)
            if count := runs.open_of(found.id):
                raise WorkflowInUseError(
                    f"{count} {'run goes' if count == 1 else 'runs go'} on with {found.name}.",
                    hint="Cancel or finish them first.",
                )
            store.delete(found.id)
            _audit(principal, "delete", found, before=_told(found))

        await self._database.run(write)


def visible(
    principal: Principal, workflow: int | str, action: Action = Action.SEE
) -> Workflow:
    """Return a workflow with which somebody may do something; runs inside ``database.run``.

    Raises:
        WorkflowNotFoundError: There is none of which they may know.
        NotAllowedError: They may see it, not do this.
    """
    missing = WorkflowNotFoundError(f"There is no workflow {workflow}.")
    return require_found(principal, action, store.find(workflow), missing)


def checked(new: NewWorkflow) -> NewWorkflow:
    """Return a workflow with the settings of its steps complete.

    Raises:
        InvalidError: A field is wrong; every one is named.
    """
    wrong: dict[str, str] = {}
    try:
        check_label(new.name, example="release-approval")
    except InvalidError as error:
        wrong |= error.fields
    tier = new.tier.strip().lower()
    if not is_pattern(tier):
        wrong["tier"] = "give a tier or a pattern such as gold:npm, gold:*, *:npm or *"
    if len(new.description) > MAX_TEXT:
        wrong["description"] = f"use at most {MAX_TEXT} characters"
    wrong |= _seconds_problem("expires_after_s", new.expires_after_s)
    wrong |= _notify_problems(new.notify)
    if len(new.steps) > MAX_STEPS:
        wrong["steps"] = f"use at most {MAX_STEPS} steps"
    steps = []
    for number, step in enumerate(new.steps):
        parsed, problems = _step(step)
        wrong |= {f"steps.{number}.{name}": text for name, text in problems.items()}
        steps.append(parsed)
    if wrong:
        named = ", ".join(wrong)
        raise InvalidError(f"Some fields are not right: {named}.", fields=wrong)
    return replace(new, tier=tier, steps=tuple(steps))


def _step(step: Step) -> tuple[Step, dict[str, str]]:
    wrong = _seconds_problem("timeout_s", step.timeout_s)
    name = step.name.strip()
    if not 0 < len(name) <= 100:  # noqa: PLR2004 - fits a line
        wrong["name"] = "give it a name of at most 100 characters"
    kind = KINDS.get(step.kind)
    if kind is None:
        return step, wrong | {"kind": f"give one of {', '.join(KINDS)}"}
    try:
        config = kind.parse(step.config)
    except InvalidError as error:
        return step, wrong | {f"config.{key}": text for key, text in error.fields.items()}  # fmt: skip
    return replace(step, name=name, config=config), wrong


def _seconds_problem(field: str, seconds: int | None) -> dict[str, str]:
    if seconds is None or 0 < seconds <= LONGEST_S:
        return {}
    return {field: f"give seconds from 1 to {LONGEST_S}, or nothing"}


def _notify_problems(notify: Notify) -> dict[str, str]:
    wrong = {}
    if len(notify.emails) + len(notify.webhooks) > MAX_NOTIFIED:
        wrong["notify"] = f"name at most {MAX_NOTIFIED} addresses"
    for number, address in enumerate(notify.emails):
        name, _, host = address.partition("@")
        if not name or not host or len(address) > 254 or set(address) & set(" \t\r\n,<>"):  # noqa: PLR2004 - RFC 5321  # fmt: skip
            wrong[f"notify.emails.{number}"] = "give an e-mail address"
    for number, url in enumerate(notify.webhooks):
        if problem := url_problem(url):
            wrong[f"notify.webhooks.{number}"] = problem
    return wrong


def _with_orgs(principal: Principal, new: NewWorkflow) -> NewWorkflow:
    """Return a workflow whose groups know the numbers of the organisations that they name.

    Raises:
        InvalidError: The principal knows of no such organisation.
    """
    steps = tuple(
        replace(step, config=_known_orgs(principal, number, step.config))
        if step.kind == APPROVAL
        else step
        for number, step in enumerate(new.steps)
    )
    return replace(new, steps=steps)


def _known_orgs(
    principal: Principal, number: int, config: Mapping[str, Any]
) -> dict[str, Any]:
    groups = []
    for place, group in enumerate(config["groups"]):
        if "org" not in group:
            groups.append(group)
            continue
        found = orgs.find(group["org"])
        if found is None or (
            can(principal, Action.SEE, new_of(principal, Kind.WORKFLOW, found.id))
            is Access.HIDDEN
        ):
            raise InvalidError.field(
                f"steps.{number}.config.groups.{place}.org",
                f"there is no organisation {group['org']}",
            )
        groups.append(group | {"org": found.name, "org_id": found.id})
    return {**config, "groups": groups}


def _views(found: Sequence[Workflow]) -> list[WorkflowView]:
    names = orgs.names({item.org_id for item in found if item.org_id})
    counts = runs.counts([item.id for item in found])
    return [
        WorkflowView(item, names.get(item.org_id or 0, ""), counts.get(item.id, 0))
        for item in found
    ]


def _told(workflow: Workflow) -> dict[str, Any]:
    """Return what the trail keeps of a workflow."""
    return {
        "name": workflow.name,
        "description": workflow.description,
        "tier": workflow.tier,
        "expires_after_s": workflow.expires_after_s,
        "notify": [*workflow.notify.emails, *workflow.notify.webhooks],
        "steps": [
            {"name": step.name, "kind": step.kind, "config": dict(step.config)}
            for step in workflow.steps
        ],
    }


def _audit(principal: Principal, deed: str, workflow: Workflow, **details: Any) -> None:
    audit(
        principal,
        f"workflow.{deed}",
        object_type="workflow",
        object_id=workflow.id,
        object_name=workflow.name,
        **details,
    )
