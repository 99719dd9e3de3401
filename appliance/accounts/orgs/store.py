"""Queries about organisations; every function runs inside ``database.run``."""

from collections.abc import Collection
from typing import Any

from peewee import IntegrityError, fn

from appliance.accounts.model import MemberRole, Principal, Role
from appliance.accounts.orgs.errors import (
    AlreadyMemberError,
    OrgNameTakenError,
    OrgNotEmptyError,
    OrgNotFoundError,
)
from appliance.accounts.orgs.model import Member, Org, Owner
from appliance.accounts.orgs.tables import OrgMemberRow, OrgRow
from appliance.accounts.tables import UserRow
from appliance.core.clock import now


def _org(row: OrgRow) -> Org:
    return Org(
        id=row.id,
        name=row.name,
        title=row.title,
        server_quota=row.server_quota,
        created_by=row.created_by,
        created_at=row.created_at,
    )


# -- organisations


def find(org: int | str) -> Org | None:
    """Return the organisation of this number or name, if there is one."""
    is_it = OrgRow.id == org if isinstance(org, int) else OrgRow.name == org
    row = OrgRow.get_or_none(is_it)
    return _org(row) if row else None


def get(org_id: int) -> Org:
    """Return one organisation.

    Raises:
        OrgNotFoundError: There is none of this number.
    """
    found = find(org_id)
    if found is None:
        raise OrgNotFoundError(f"There is no organisation {org_id}.")
    return found


def page(
    org_ids: Collection[int] | None, *, query: str, after: str, limit: int
) -> list[Org]:
    """Return up to ``limit`` organisations by name, from the first name after ``after``.

    Args:
        org_ids: Only these; ``None``: all.
        query: Part of the name or title, any case; empty: all.
    """
    rows = OrgRow.select().where(OrgRow.name > after).order_by(OrgRow.name).limit(limit)
    if org_ids is not None:
        rows = rows.where(OrgRow.id.in_(org_ids))
    if query:
        rows = rows.where(OrgRow.name.contains(query) | OrgRow.title.contains(query))
    return [_org(row) for row in rows]


def names(org_ids: Collection[int]) -> dict[int, str]:
    """Return the names of these organisations."""
    if not org_ids:
        return {}
    rows = OrgRow.select(OrgRow.id, OrgRow.name).where(OrgRow.id.in_(org_ids))
    return {row.id: row.name for row in rows}


def add(name: str, title: str, *, created_by: str, server_quota: int | None) -> Org:
    """Insert an organisation without members.

    Raises:
        OrgNameTakenError: Another one has the name.
    """
    try:
        row = OrgRow.create(
            name=name,
            title=title,
            server_quota=server_quota,
            created_by=created_by,
            created_at=now(),
        )
    except IntegrityError as error:
        raise OrgNameTakenError(
            f"An organisation named {name} exists already.",
            hint="Choose another name, or ask one of its owners to invite you.",
        ) from error
    return _org(row)


def change(org_id: int, **columns: Any) -> None:
    """Write what an organisation is called, and how much it may have."""
    OrgRow.update(columns).where(OrgRow.id == org_id).execute()


def delete(org_id: int) -> None:
    """Remove an organisation with its members, invitations and keys.

    Raises:
        OrgNotEmptyError: Something came to belong to it at this moment.
    """
    try:
        OrgRow.delete().where(OrgRow.id == org_id).execute()
    except IntegrityError as error:
        raise OrgNotEmptyError("Something still belongs to it.") from error


def lock(org_id: int) -> None:
    """Let nobody else change who belongs to it, or what, until the transaction ends."""
    OrgRow.select(OrgRow.id).where(OrgRow.id == org_id).for_update().execute()


# -- members


def of_people(user_ids: Collection[int]) -> dict[int, dict[int, MemberRole]]:
    """Return what these people are in which organisations; those who are in none are left out."""
    found: dict[int, dict[int, MemberRole]] = {}
    rows = OrgMemberRow.select().where(OrgMemberRow.user_id.in_(user_ids))
    for row in rows:
        found.setdefault(row.user_id, {})[row.org_id] = MemberRole(row.role)
    return found


def memberships(user_id: int) -> dict[int, MemberRole]:
    """Return what somebody is in which organisations."""
    return of_people([user_id]).get(user_id, {})


def standings(user_ids: Collection[int]) -> dict[int, Principal]:
    """Return what these people may do by themselves, whether they ask or not; disabled ones are left out."""
    memberships = of_people(user_ids)
    rows = UserRow.select(UserRow.id, UserRow.email, UserRow.role).where(
        UserRow.id.in_(user_ids), UserRow.disabled_at.is_null()
    )
    return {
        row.id: Principal(
            row.id,
            row.email,
            Role(row.role),
            "system",
            memberships=memberships.get(row.id, {}),
        )
        for row in rows
    }


def person(email: str) -> int | None:
    """Return the number of whoever has this address, in any case, and is not disabled."""
    row = UserRow.get_or_none(
        fn.LOWER(UserRow.email) == email.lower(), UserRow.disabled_at.is_null()
    )
    return row.id if row else None


def locked_person(user_id: int) -> Owner:
    """Return a person as an owner; nobody else changes their row until the transaction ends."""
    row = UserRow.select().where(UserRow.id == user_id).for_update().get()
    return Owner(user_id, None, row.email, row.server_quota)


def members(org_id: int) -> list[Member]:
    """Return who belongs to an organisation, by address."""
    rows = (
        OrgMemberRow.select(OrgMemberRow, UserRow.email)
        .join(UserRow, on=(UserRow.id == OrgMemberRow.user_id), attr="user")
        .where(OrgMemberRow.org_id == org_id)
        .order_by(fn.LOWER(UserRow.email))
    )
    return [_member(row) for row in rows]


def member(org_id: int, user_id: int) -> Member | None:
    """Return somebody who belongs to an organisation."""
    return next((item for item in members(org_id) if item.user_id == user_id), None)


def counts(org_ids: Collection[int]) -> dict[int, int]:
    """Return how many people belong to these organisations."""
    rows: Any = (
        OrgMemberRow.select(OrgMemberRow.org_id, fn.COUNT(OrgMemberRow.user_id))
        .where(OrgMemberRow.org_id.in_(org_ids))
        .group_by(OrgMemberRow.org_id)
        .tuples()
    )
    return dict(rows)


def _member(row: Any) -> Member:
    return Member(
        org_id=row.org_id,
        user_id=row.user_id,
        email=row.user.email,
        role=MemberRole(row.role),
        added_by=row.added_by,
        added_at=row.added_at,
    )


def add_member(org_id: int, user_id: int, role: MemberRole, *, added_by: str) -> None:
    """Insert somebody.

    Raises:
        AlreadyMemberError: They belong to it already.
    """
    try:
        OrgMemberRow.insert(
            org_id=org_id,
            user_id=user_id,
            role=role.value,
            added_by=added_by,
            added_at=now(),
        ).execute()
    except IntegrityError as error:
        raise AlreadyMemberError("They belong to the organisation already.") from error


def set_role(org_id: int, user_id: int, role: MemberRole) -> None:
    """Change what somebody is."""
    OrgMemberRow.update(role=role.value).where(
        OrgMemberRow.org_id == org_id, OrgMemberRow.user_id == user_id
    ).execute()


def remove_member(org_id: int, user_id: int) -> None:
    """Let somebody go."""
    OrgMemberRow.delete().where(
        OrgMemberRow.org_id == org_id, OrgMemberRow.user_id == user_id
    ).execute()
