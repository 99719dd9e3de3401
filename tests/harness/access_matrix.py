"""Every route of the hub, asked by everybody: who is let in, who is refused, and who must not learn that there is something."""

from dataclasses import dataclass, field
from typing import Any

from appliance.accounts.access import Kind, Thing, Verdict, can
from appliance.accounts.model import Action, Role
from tests.harness.access_rules import (
    BODIES,
    ELSEWHERE,
    ENDS,
    NOT_FOR_READERS,
    PARAMETER,
    Need,
    Route,
    need_of,
    routes_of,
)
from tests.harness.access_world import Somebody, Things, World

#: Answers that say that the request itself was wrong: who sent it was then perhaps not looked at.
NOT_ASKED = frozenset({400, 405, 413, 415, 422})
#: What those are told who must not know.
HIDDEN = {
    Kind.SERVER: "server_not_found",
    Kind.BUNDLE: "bundle_not_found",
    Kind.ORG: "org_not_found",
    Kind.ARTIFACT: "artifact_not_found",
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


async def measure(made: World, only: frozenset[str] = frozenset()) -> Outcome:
    """Ask every route as everybody, or as those named in ``only``."""
    made.people = [who for who in made.people if not only or who.name in only]
    outcome = Outcome(people=len(made.people))
    fixed = {kind: await made.thing(kind) for kind in (Kind.SERVER, Kind.BUNDLE)}
    server_id = fixed[Kind.SERVER][1].id
    assert server_id
    fixed[Kind.ARTIFACT] = await made.artifact(server_id)
    fixed[Kind.ORG] = ("ours", Thing(Kind.ORG, made.org_id, org_id=made.org_id))
    for route in routes_of(made.site.client.server.app):  # type: ignore[attr-defined]
        outcome.routes += 1
        need = need_of(route)
        if need is None:
            outcome.uncovered.append(route.name)
        elif need.level != "open":
            await _ask_all(made, route, need, fixed=fixed, outcome=outcome)
    return outcome


async def _ask_all(  # noqa: C901, PLR0912 - one exception after another
    made: World, route: Route, need: Need, *, fixed: Things, outcome: Outcome
) -> None:
    """Ask one route as everybody, the least first; whoever is let in gets the same answer."""
    ends = need.action is Action.DELETE or ENDS.search(route.path) is not None
    let_in: dict[str, int] = {}
    for who in made.people:
        if who.principal is not None and route.name in ELSEWHERE:
            continue
        things = dict(fixed)
        if ends and need.kind in {Kind.SERVER, Kind.BUNDLE}:
            things[need.kind] = await made.thing(need.kind)
        expected = expected_of(who, route, need, things)
        if expected is None and ends and need.kind is Kind.ORG:
            continue  # it would be the end of the world
        if "/members/" in route.path:
            await made.restore(things)
        answer = await _ask(made, who, route, things)
        outcome.asked += 1
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
        denied = (
            status in {401, 403} and code != "wrong_credentials"
        ) or code in HIDDEN.values()
        broken = status >= 500 and code != "mcp_unavailable"
        return f"got {status} {code}, is to be let in" if denied or broken else ""
    # A page says why in words.
    is_right = answer == expected if code else status == expected[0]
    return "" if is_right else f"got {status} {code}, not {expected}"


def expected_of(
    who: Somebody, route: Route, need: Need, things: Things
) -> tuple[int, str] | None:
    """Return the status and code of the refusal; ``None``: they are let in."""
    if who.principal is None:
        code = "unauthenticated" if who.name == "anonymous" else "unknown_key"
        return 401, code
    refused = (403, "not_allowed")
    role = who.principal.role
    if role is Role.READER and NOT_FOR_READERS.search(route.path):
        code = "oauth_reader" if "/oauth/" in route.path else "not_allowed"
        return 403, code
    if need.level == "admin":
        return None if role is Role.ADMIN else refused
    if need.level == "box":
        return None if role in {Role.ADMIN, Role.READER} else refused
    if need.level == "create":
        return refused if role is Role.READER else None
    if need.kind is None:
        return None
    verdict = can(who.principal, need.action, things[need.kind][1])
    if verdict is Verdict.HIDDEN:
        return 404, HIDDEN[need.kind]
    return None if verdict is Verdict.ALLOWED else refused


async def _ask(
    made: World, who: Somebody, route: Route, things: Things
) -> tuple[int, str]:
    values = {
        "server": things[Kind.SERVER][0],
        "bundle": things[Kind.BUNDLE][0],
        "org": "ours",
        "artifact": things[Kind.ARTIFACT][0],
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
