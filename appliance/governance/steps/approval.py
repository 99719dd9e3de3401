"""People approve: so many of them, and of every named group as many as it asks for. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.accounts.model import Action, MemberRole, Principal, Role
from appliance.governance.model import Approval, Verdict
from appliance.governance.steps.base import Reader, Setting

_ROLES = list(MemberRole)
#: ``security: acme/owner (2)`` or ``release: ada@example.org, bob@example.org``.
_LINE = re.compile(r"(?P<name>[^:]+):(?P<who>[^()]+)(\((?P<quorum>\d+)\))?\s*")
_HELP = (
    "One group a line: 'security: acme/maintainer' or 'release: ada@example.org, bob@example.org', with '(2)' after it for two"
    " of them. Empty: whoever may deploy for the workflow's owner."
)
MAX_GROUPS = 20
MAX_PEOPLE = 100


@dataclass(frozen=True)
class GroupStanding:
    """How many of a group approved."""

    name: str
    approved: int
    needed: int


@dataclass(frozen=True)
class Standing:
    """How far an approval is."""

    approved: int
    needed: int
    groups: tuple[GroupStanding, ...]

    @property
    def is_met(self) -> bool:
        """Whether nobody else needs to approve."""
        return self.approved >= self.needed and all(
            item.approved >= item.needed for item in self.groups
        )


class ApprovalKind:
    """Waits for people."""

    name = "approval"
    label = "Approval"
    help = "Waits until enough people approve it; one rejection ends the run."
    is_automatic = False
    settings: tuple[Setting, ...] = (
        Setting("quorum", "Approvals", "number", "How many people, each of whom counts once.", "1"),
        Setting("groups", "Who may approve", "lines", _HELP),
        Setting("allow_self", "Whoever started the run may approve it", "check"),
    )  # fmt: skip

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        found = {
            "quorum": reader.number("quorum", 1, low=1, high=MAX_PEOPLE),
            "groups": _groups(reader),
            "allow_self": reader.flag("allow_self", default=False),
        }
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return who has to approve."""
        count = config["quorum"]
        people = "1 person" if count == 1 else f"{count} people"
        if not config["groups"]:
            return f"{people} who may deploy for the workflow's owner"
        return f"{people}: {', '.join(line_of(group) for group in config['groups'])}"


def line_of(group: Mapping[str, Any]) -> str:
    """Return a group as the form has it."""
    who = f"{group['org']}/{group['role']}" if group.get("org") else ", ".join(group["people"])  # fmt: skip
    count = f" ({group['quorum']})" if group["quorum"] != 1 else ""
    return f"{group['name']}: {who}{count}"


def groups_of(config: Mapping[str, Any], principal: Principal) -> list[str]:
    """Return the names of the groups to which somebody belongs."""
    return [group["name"] for group in config["groups"] if _belongs(group, principal)]


def is_named(config: Mapping[str, Any], principal: Principal) -> bool:
    """Return whether a step concerns somebody: they, or an organisation of theirs, are named."""
    return any(
        group.get("org_id") in principal.memberships
        or principal.email.lower() in group.get("people", ())
        for group in config["groups"]
    )


def deciding_groups(
    config: Mapping[str, Any], principal: Principal, *, may_deploy: bool
) -> tuple[str, ...] | None:
    """Return for which groups somebody decides; ``None``: it is not theirs to decide.

    Args:
        config: Of the step.
        principal: Who.
        may_deploy: Whether they may deploy for the workflow's owner, which counts where no group is named.
    """
    if principal.user_id is None or principal.role is Role.READER:
        return None
    scope = principal.scope
    if scope is not None and (
        scope.servers is not None
        or (scope.actions is not None and Action.DEPLOY not in scope.actions)
    ):
        return None
    if not config["groups"]:
        return () if may_deploy else None
    return tuple(groups_of(config, principal)) or None


def standing(config: Mapping[str, Any], approvals: Sequence[Approval]) -> Standing:
    """Return how far an approval is; a person counts once, and for every group that they are of."""
    given = {
        item.user_id: item for item in approvals if item.verdict is Verdict.APPROVE
    }
    groups = tuple(
        GroupStanding(
            group["name"],
            sum(group["name"] in item.groups for item in given.values()),
            group["quorum"],
        )
        for group in config["groups"]
    )
    return Standing(len(given), config["quorum"], groups)


def _belongs(group: Mapping[str, Any], principal: Principal) -> bool:
    if "people" in group:
        return principal.email.lower() in group["people"]
    member = principal.memberships.get(group["org_id"])
    wanted = MemberRole(group["role"])
    return member is not None and _ROLES.index(member) >= _ROLES.index(wanted)


def _groups(reader: Reader) -> list[dict[str, Any]]:
    value = reader.anything("groups", [])
    if isinstance(value, str):
        value = [_of_line(line) for line in value.splitlines() if line.strip()]
    if not isinstance(value, list) or len(value) > MAX_GROUPS:
        reader.refuse("groups", f"give a list of at most {MAX_GROUPS} groups")
        return []
    found = []
    for number, item in enumerate(value):
        group, problem = _group(item)
        if problem:
            reader.refuse(f"groups.{number}", problem)
        found.append(group)
    names = [group.get("name") for group in found]
    if len(set(names)) < len(names):
        reader.refuse("groups", "give every group another name")
    return found


def _group(item: Any) -> tuple[dict[str, Any], str]:
    """Return a group and what is wrong with it."""
    if not isinstance(item, Mapping):
        return {}, "write it like 'security: acme/maintainer' or 'release: ada@example.org'"  # fmt: skip
    name, quorum, people = item.get("name"), item.get("quorum", 1), item.get("people")
    if unknown := set(item) - {"name", "quorum", "people", "org", "org_id", "role"}:
        return {}, f"{', '.join(sorted(map(str, unknown)))} is not known here"
    if not isinstance(name, str) or not 0 < len(name.strip()) <= 63:  # noqa: PLR2004 - as long as other names
        return {}, "give it a name of at most 63 characters"
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 0 <= quorum <= MAX_PEOPLE:  # fmt: skip
        return {}, f"quorum: give a whole number from 0 to {MAX_PEOPLE}"
    group = {"name": name.strip(), "quorum": quorum}
    if (people is None) == (item.get("org") is None):
        return {}, "give either people or an organisation"
    if people is None:
        return _of_org(group, item)
    return _of_people(group, people)


def _of_org(
    group: dict[str, Any], item: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    role = item.get("role", MemberRole.MAINTAINER.value)
    if role not in {known.value for known in MemberRole}:
        return {}, f"role: give one of {', '.join(_ROLES)}"
    if role == MemberRole.READER:
        return {}, "role: readers change nothing; give deployer, maintainer or owner"
    if not isinstance(item["org"], str | int) or isinstance(item["org"], bool):
        return {}, "org: give the organisation's name"
    # Its number is put in by whoever knows which organisations there are.
    return group | {"org": item["org"], "role": role}, ""


def _of_people(group: dict[str, Any], people: Any) -> tuple[dict[str, Any], str]:
    if (
        not isinstance(people, list)
        or not 0 < len(people) <= MAX_PEOPLE
        or not all(isinstance(item, str) and "@" in item for item in people)
    ):
        return {}, f"people: give 1 to {MAX_PEOPLE} e-mail addresses"
    found = list(dict.fromkeys(item.strip().lower() for item in people))
    if group["quorum"] > len(found):
        return {}, f"quorum: it has only {len(found)} people"
    return group | {"people": found}, ""


def _of_line(line: str) -> dict[str, Any] | str:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return line
    who = match["who"].strip()
    group: dict[str, Any] = {
        "name": match["name"].strip(),
        "quorum": int(match["quorum"] or 1),
    }
    if "@" in who:
        return group | {"people": [item.strip() for item in who.split(",") if item.strip()]}  # fmt: skip
    org, _, role = who.partition("/")
    return group | {"org": org.strip(), "role": role.strip() or "maintainer"}
