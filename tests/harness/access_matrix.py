"""Every route of the hub, asked by everybody: who is let in, who is refused, and who must not learn that there is something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.accounts.access import Kind
from appliance.accounts.model import Action, Role
from tests.harness.access_rights import Rights
from tests.harness.access_rules import (
    ADDS_A_MEMBER,
    BODIES,
    COMES_TO_THEM,
    ELSEWHERE,
    ENDS,
    FOR_PEOPLE,
    FOR_UNNARROWED,
    FOR_WHOLE,
    NOT_FOR_READERS,
    PARAMETER,
    READS_FIRST,
    RESTORED,
    Need,
    Route,
    need_of,
    routes_of,
)
from tests.harness.access_world import OWNED, Somebody, Things, World

#: Answers that say that the request itself was wrong: who sent it was then perhaps not looked at.
NOT_ASKED = frozenset({400, 405, 413, 415, 422})
#: What those are told who must not know.
HIDDEN = {
    Kind.SERVER: "server_not_found",
    Kind.BUNDLE: "bundle_not_found",
    Kind.ORG: "org_not_found",
    Kind.ARTIFACT: "artifact_not_found",
    Kind.WORKFLOW: "governance_workflow_not_found",
    Kind.TRACK: "promotion_track_not_found",
}
#: The same, of what belongs to a thing and is named itself.
HIDDEN_PARTS = {
    "{run}": "governance_run_not_found",
    "{promotion}": "promotion_not_found",
    "{train}": "promotion_train_not_found",
}


@dataclass
class Outcome:
    """What was measured."""

    routes: int = 0
    asked: int = 0
    people: int = 0
    #: Routes of which nobody said who may use them.
    uncovered: list[str] = field(default_factory=list)
    #: Routes whose request in ``BODIES`` is wrong, so that nothing was measured.
    unasked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


#: Which of the world's rows ask a route; ``None``: all of them.
Chosen = Callable[[Route, Sequence[Somebody]], Sequence[Somebody]]


async def measure(made: World, chosen: Chosen | None = None) -> Outcome:
    """Ask every route as everybody, or as those who are chosen for it."""
    outcome = Outcome(people=len(made.people))
    for route in routes_of(made.site.client.server.app):  # type: ignore[attr-defined]
        outcome.routes += 1
        need = need_of(route)
        if need is None:
            outcome.uncovered.append(route.name)
        elif need.level != "open":
            people = chosen(route, made.people) if chosen else made.people
            await _ask_all(made, route, need, people=people, outcome=outcome)
    return outcome


async def _ask_all(  # noqa: C901, PLR0912 - one exception after another
    made: World,
    route: Route,
    need: Need,
    *,
    people: Sequence[Somebody],
    outcome: Outcome,
) -> None:
    """Ask one route as everybody, the least first; whoever is let in gets the same answer."""
    ends = need.action is Action.DELETE or ENDS.search(route.path) is not None
    let_in: dict[str, int] = {}
    for who in people:
        if who.rights is not None and route.name in ELSEWHERE:
            continue
        things = dict(made.fixed)
        if ends and need.kind in OWNED:
            things[need.kind] = await made.thing(need.kind)
        expected = expected_of(who, route, need, things)
        if expected is None and ends and need.kind is Kind.ORG:
            continue  # it would be the end of the world
        if RESTORED.search(route.path):
            await made.restore(things)
        written = await made.last_write()
        answer = await _ask(made, who, route, things)
        outcome.asked += 1
        if expected is not None and await made.last_write() != written:
            outcome.wrong.append(f"{route.name}: {who.name} was refused, and did it")
        if expected is None:
            let_in[who.name] = answer[0]
        if trouble := _trouble(answer, expected):
            outcome.wrong.append(f"{route.name}: {who.name} {trouble}")
    statuses = set(let_in.values())
    if statuses & NOT_ASKED:
        outcome.unasked.append(f"{route.name}: {statuses}")
    elif len(statuses) > 1:
        outcome.wrong.append(f"{route.name}: answers differ: {let_in}")


def _trouble(answer: tuple[int, str], expected: tuple[int, str] | None) -> str:
    """Return what is wrong with an answer; empty: nothing."""
    status, code = answer
    if expected is None:
        denied = (status in {401, 403} and code != "wrong_credentials") or code in {
            *HIDDEN.values(),
            *HIDDEN_PARTS.values(),
        }
        broken = status >= 500 and code != "mcp_unavailable"
        return f"got {status} {code}, is to be let in" if denied or broken else ""
    # A page says why in words.
    is_right = answer == expected if code else status == expected[0]
    return "" if is_right else f"got {status} {code}, not {expected}"


def expected_of(
    who: Somebody, route: Route, need: Need, things: Things
) -> tuple[int, str] | None:
    """Return the status and code of the refusal; ``None``: they are let in."""
    rights = who.rights
    if rights is None:
        return 401, who.refusal
    refused = (403, "not_allowed")
    if not route.path.startswith("/api/") and not rights.sees:
        return refused
    if rights.role is Role.READER and NOT_FOR_READERS.search(route.path):
        code = "oauth_reader" if "/oauth/" in route.path else "not_allowed"
        return 403, code
    if need.kind is None:
        return None if _is_let_in(rights, route, need) else refused
    allowed = rights.with_thing(things[need.kind][1])
    if not allowed:
        parts = (
            code
            for part, code in HIDDEN_PARTS.items()
            if part in route.path and need.kind in {Kind.WORKFLOW, Kind.TRACK}
        )
        return 404, next(parts, HIDDEN[need.kind])
    if route.name == ADDS_A_MEMBER and need.action in allowed and not rights.sees:
        return 422, "invalid"
    return None if _does(rights, allowed, route, need) else refused


def _does(rights: Rights, allowed: frozenset[Action], route: Route, need: Need) -> bool:
    """Return whether somebody does with a thing of which they know what a route is for."""
    needed = {need.action}
    if READS_FIRST.search(route.name):
        needed.add(Action.SEE)
    if COMES_TO_THEM.search(route.path) and not rights.creates:
        return False
    return needed <= allowed


def _is_let_in(rights: Rights, route: Route, need: Need) -> bool:
    """Return whether somebody is let in where nothing but who they are is asked."""
    if need.level == "admin":
        return rights.administers
    if need.level == "box":
        return rights.reads_the_box
    if need.level == "create":
        return rights.creates
    if FOR_PEOPLE.search(route.name) and rights.is_service:
        return False
    if FOR_UNNARROWED.search(route.name) and not rights.is_unnarrowed:
        return False
    return rights.is_whole or not FOR_WHOLE.search(route.name)


async def _ask(
    made: World, who: Somebody, route: Route, things: Things
) -> tuple[int, str]:
    values = {
        "server": things[Kind.SERVER][0],
        "bundle": things[Kind.BUNDLE][0],
        "org": "ours",
        "artifact": things[Kind.ARTIFACT][0],
        "workflow": things[Kind.WORKFLOW][0],
        "track": things[Kind.TRACK][0],
        **made.parts[things[Kind.WORKFLOW]],
        **made.parts[things[Kind.TRACK]],
        "position": "1",
        "tab": "overview",
        "path": "x",
        "kind": "sbom",
        "name": "SECRET",
        "user_id": str(made.user_id),
    }
    path = PARAMETER.sub(lambda found: values.get(found[1], "987654321"), route.path)
    number = next(made.numbers)
    sent: dict[str, Any] = {}
    if route.method not in {"GET", "DELETE"}:
        body = BODIES.get(route.name, {})
        if route.path.startswith("/api/"):
            sent["json"] = _numbered(body, number)
        else:
            sent["data"] = _numbered(body, number)
    async with who.client.request(route.method, path, allow_redirects=False, **sent) as answer:  # fmt: skip
        is_problem = answer.content_type == "application/problem+json"
        code = (await answer.json(content_type=None)).get("code", "") if is_problem else ""  # fmt: skip
        return answer.status, code


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {_numbered(name, number): _numbered(item, number) for name, item in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_numbered(item, number) for item in value]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value
