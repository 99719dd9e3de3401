"""Who may do what: every standing, with every kind of thing, for every action."""

import itertools

import pytest

from appliance.accounts import access
from appliance.accounts.access import (
    BOX,
    Kind,
    Sight,
    Thing,
    Verdict,
    can,
    may_create,
    new_of,
    require,
    require_administer,
    sight,
)
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import (
    SYSTEM,
    Action,
    MemberRole,
    Principal,
    Role,
    Scope,
)
from appliance.core.errors import NotFoundError

ADA, EVE = 7, 8
OURS, THEIRS = 20, 21

THINGS = {
    "own": Thing(Kind.SERVER, 1, ADA, None, 1),
    "somebody's": Thing(Kind.SERVER, 2, EVE, None, 2),
    "of our organisation": Thing(Kind.SERVER, 3, EVE, OURS, 3),
    "brought to theirs": Thing(Kind.BUNDLE, 4, ADA, THEIRS),
    "our organisation": Thing(Kind.ORG, OURS, None, OURS),
    "our track": Thing(Kind.TRACK, 7, EVE, OURS),
    "somebody's workflow": Thing(Kind.WORKFLOW, 8, EVE, None),
    "their organisation": Thing(Kind.ORG, THEIRS, None, THEIRS),
    "its key": Thing(Kind.KEY, 6, None, OURS),
    "the box": BOX,
    "nobody's": Thing(Kind.ARTIFACT, 5, None, None, 5),
}


def ada(
    role: Role = Role.MEMBER,
    member: MemberRole | None = None,
    scope: Scope | None = None,
) -> Principal:
    memberships = {OURS: member} if member else {}
    return Principal(
        ADA,
        "ada@example.org",
        role,
        "session",
        memberships=memberships,
        scope=scope,
    )


#: Who, what, and the actions that are allowed, by their first letters: See Call Deploy cHange creAte deLete Transfer Manage
#: adminIster. "hidden": nothing is, and they must not learn that there is such a thing.
ALL = "SCDHALTMI"
OWN = "SCDHALT"
TABLE = {
    "admin": dict.fromkeys(THINGS, ALL),
    "reader of the box": dict.fromkeys(THINGS, "S"),
    "stranger": {"own": OWN, "the box": "forbidden"},
    "member reader": {
        "own": OWN,
        "of our organisation": "SC",
        "its key": "SC",
        "our track": "SC",
        "our organisation": "S",
        "the box": "forbidden",
    },
    "member deployer": {
        "own": OWN,
        "of our organisation": "SCD",
        "its key": "SCD",
        "our track": "SCD",
        "our organisation": "S",
        "the box": "forbidden",
    },
    "member maintainer": {
        "own": OWN,
        "of our organisation": "SCDHAL",
        "its key": "SCDHAL",
        "our track": "SCDHAL",
        "our organisation": "S",
        "the box": "forbidden",
    },
    "member owner": {
        "own": OWN,
        "of our organisation": "SCDHALT",
        "its key": "SCDHALT",
        "our track": "SCDHALT",
        "our organisation": "SHLM",
        "the box": "forbidden",
    },
}
LETTERS = {
    "S": Action.SEE,
    "C": Action.CALL,
    "D": Action.DEPLOY,
    "H": Action.CHANGE,
    "A": Action.CREATE,
    "L": Action.DELETE,
    "T": Action.TRANSFER,
    "M": Action.MANAGE,
    "I": Action.ADMINISTER,
}
WHO = {
    "admin": ada(Role.ADMIN),
    "reader of the box": ada(Role.READER),
    "stranger": ada(),
    **{f"member {role.value}": ada(member=role) for role in MemberRole},
}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("thing", THINGS)
def test_every_decision_is_that_of_the_table(who: str, thing: str) -> None:
    expected = TABLE[who].get(thing, "hidden")
    allowed = set() if expected.islower() else {LETTERS[letter] for letter in expected}
    denied = Verdict.HIDDEN if expected == "hidden" else Verdict.FORBIDDEN

    decided = {action: can(WHO[who], action, THINGS[thing]) for action in Action}

    assert decided == {
        action: Verdict.ALLOWED if action in allowed else denied for action in Action
    }


def test_the_table_names_every_action_and_every_kind() -> None:
    assert set(LETTERS.values()) == set(Action)
    assert {thing.kind for thing in THINGS.values()} == set(Kind)


def everybody() -> list[Principal]:
    """Every standing with every kind of scope."""
    scopes = [
        None,
        *(
            Scope(actions, servers)
            for actions in (
                None,
                frozenset[Action](),
                frozenset({Action.SEE}),
                frozenset({Action.CALL}),
                frozenset({Action.SEE, Action.DEPLOY, Action.ADMINISTER}),
            )
            for servers in (None, frozenset[int](), frozenset({1, 3}))
        ),
    ]
    members = [None, *MemberRole]
    people = [
        ada(role, member, scope)
        for role, member, scope in itertools.product(Role, members, scopes)
    ]
    machines = [
        Principal(
            None,
            "service:ci",
            Role.MEMBER,
            "api_key",
            org_id=OURS,
            memberships={OURS: MemberRole.DEPLOYER},
            scope=scope,
        )
        for scope in scopes
    ]
    return [*people, *machines, SYSTEM]


def test_a_scope_only_ever_narrows() -> None:
    for who in everybody():
        whole = Principal(
            who.user_id,
            who.email,
            who.role,
            who.via,
            memberships=who.memberships,
            org_id=who.org_id,
        )
        for thing in THINGS.values():
            assert access.actions(who, thing) <= access.actions(whole, thing)
        assert whole.is_admin or not who.is_admin


def test_lists_show_exactly_what_may_be_seen() -> None:
    owned = [item for item in THINGS.values() if item.kind is not Kind.BOX]
    for who in everybody():
        for thing in owned:
            expected = can(who, Action.SEE, thing) is Verdict.ALLOWED
            assert sight(who).covers(thing) is expected, (who, thing)


def test_nothing_of_another_organisation_is_known_to_its_neighbours() -> None:
    for who in everybody():
        if who.role is not Role.MEMBER:
            continue
        for thing in THINGS.values():
            if thing.org_id == THEIRS:
                assert {can(who, action, thing) for action in Action} == {
                    Verdict.HIDDEN
                }


@pytest.mark.parametrize(
    ("who", "org_id", "verdict"),
    [
        (ada(), None, Verdict.ALLOWED),
        (ada(), OURS, Verdict.HIDDEN),
        (ada(member=MemberRole.DEPLOYER), OURS, Verdict.FORBIDDEN),
        (ada(member=MemberRole.MAINTAINER), OURS, Verdict.ALLOWED),
        (ada(Role.READER), None, Verdict.FORBIDDEN),
        (ada(Role.READER, MemberRole.OWNER), OURS, Verdict.FORBIDDEN),
        (ada(scope=Scope(frozenset({Action.SEE}))), None, Verdict.FORBIDDEN),
        (ada(scope=Scope(servers=frozenset({1}))), None, Verdict.FORBIDDEN),
    ],
)
def test_where_somebody_may_add_servers(
    who: Principal, org_id: int | None, verdict: Verdict
) -> None:
    assert can(who, Action.CREATE, new_of(who, Kind.SERVER, org_id)) is verdict
    assert may_create(who) is (
        can(who, Action.CREATE, new_of(who, Kind.SERVER)) is Verdict.ALLOWED
        or verdict is Verdict.ALLOWED
    )


def test_the_words_say_whose_role_or_which_key_is_in_the_way() -> None:
    gone = NotFoundError("There is no server 3.")
    thing = THINGS["of our organisation"]
    deployer = ada(member=MemberRole.DEPLOYER)
    narrow = ada(member=MemberRole.OWNER, scope=Scope(frozenset({Action.SEE})))

    with pytest.raises(NotFoundError, match="no server 3"):
        require(ada(), Action.SEE, thing, gone)
    with pytest.raises(NotAllowedError, match="deployer may not change this server"):
        require(deployer, Action.CHANGE, thing, gone)
    with pytest.raises(NotAllowedError, match="This key may not change"):
        require(narrow, Action.CHANGE, thing, gone)
    with pytest.raises(NotAllowedError, match="member may not administer this box"):
        require_administer(ada())
    require(deployer, Action.DEPLOY, thing, gone)


def test_nothing_is_seen_with_a_key_that_may_not_see() -> None:
    calls_only = ada(Role.ADMIN, scope=Scope(frozenset({Action.CALL})))

    assert sight(calls_only) == Sight()
    assert can(calls_only, Action.CALL, THINGS["own"]) is Verdict.ALLOWED
    assert can(calls_only, Action.SEE, THINGS["own"]) is Verdict.FORBIDDEN
