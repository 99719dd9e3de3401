"""Who is let in on a provider's word, and as what."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.accounts.admission import (
    Rules,
    Way,
    memberships_of,
    role_of,
    way_of,
)
from appliance.accounts.errors import NotAdmittedError
from appliance.accounts.model import Arrival, MemberRole, Role, User

ADA = User(1, "ada@example.org", Role.MEMBER, datetime.now(UTC))
COMES = Arrival("https://i.example", "17", "ada@example.org", is_verified=True)
OPEN = Rules(creates=True, links_by_email=True)


@pytest.mark.parametrize(
    ("rules", "arrival", "who", "way"),
    [
        (Rules(), COMES, (ADA, None), Way.KNOWN),
        (Rules(), COMES, (ADA, ADA), Way.KNOWN),
        (OPEN, COMES, (None, ADA), Way.LINK),
        (OPEN, COMES, (None, None), Way.CREATE),
        (Rules(), COMES, (None, None), None),
        # By the address alone nobody becomes somebody.
        (Rules(creates=True), COMES, (None, ADA), None),
        (OPEN, replace(COMES, is_verified=False), (None, ADA), None),
        (OPEN, replace(COMES, is_verified=False), (None, None), None),
    ],
)
def test_people_come_by_the_providers_number_for_them(
    rules: Rules,
    arrival: Arrival,
    who: tuple[User | None, User | None],
    way: Way | None,
) -> None:
    linked, addressee = who

    def found() -> Way:
        return way_of(arrival, rules, linked=linked, addressee=addressee)

    if way is None:
        with pytest.raises(NotAdmittedError) as refused:
            found()
        assert refused.value.hint
    else:
        assert found() is way


def test_domains_bind_everybody_who_comes_by_the_provider() -> None:
    rules = replace(OPEN, domains=frozenset({"example.org"}))

    assert way_of(COMES, rules, linked=ADA, addressee=None) is Way.KNOWN
    for wrong in (
        replace(COMES, email="ada@example.org.evil.example"),
        replace(COMES, email="example.org"),
        replace(COMES, is_verified=False),
        replace(COMES, email=""),
    ):
        with pytest.raises(NotAdmittedError):
            way_of(wrong, rules, linked=ADA, addressee=None)


def test_the_first_group_that_fits_gives_the_role() -> None:
    roles = (("ops", Role.ADMIN), ("audit", Role.READER), ("devs", Role.MEMBER))
    rules = Rules(roles=roles, default_role=None)

    assert role_of({"devs", "audit"}, rules, Role.ADMIN) is Role.READER
    assert role_of({"ops"}, rules, None) is Role.ADMIN
    assert role_of(set(), replace(rules, default_role=Role.READER), Role.ADMIN) is Role.READER  # fmt: skip
    with pytest.raises(NotAdmittedError):
        role_of({"others"}, rules, Role.ADMIN)


def test_without_rules_people_stay_what_they_are_made_here() -> None:
    assert role_of({"ops"}, Rules(), Role.READER) is Role.READER
    assert role_of({"ops"}, Rules(), None) is Role.MEMBER
    with pytest.raises(NotAdmittedError):
        role_of({"ops"}, Rules(default_role=None), None)


def test_the_highest_of_an_organisation_counts() -> None:
    rules = Rules(
        orgs=(
            ("devs", "acme", MemberRole.DEPLOYER),
            ("ops", "acme", MemberRole.OWNER),
            ("ops", "beta", MemberRole.READER),
        )
    )

    assert memberships_of({"devs", "ops"}, rules) == {"acme": MemberRole.OWNER, "beta": MemberRole.READER}  # fmt: skip
    assert memberships_of({"devs"}, rules) == {"acme": MemberRole.DEPLOYER, "beta": None}  # fmt: skip
