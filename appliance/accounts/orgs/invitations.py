"""Links by which somebody joins an organisation: each works once, for a while, and is kept as a hash."""

from datetime import timedelta

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Action, MemberRole, Principal
from appliance.accounts.orgs import invitation_store, store
from appliance.accounts.orgs.allowed import allowed_org
from appliance.accounts.orgs.errors import (
    AlreadyMemberError,
    InvitationNotFoundError,
)
from appliance.accounts.orgs.model import Invitation, Org
from appliance.accounts.orgs.trail import audit_org
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import key_hash, new_key
from appliance.infra.database import Database

PREFIX = "mcpv_"
MAX_DAYS = 30
DEFAULT_DAYS = 7
MAX_NOTE = 200


class InvitationService:
    """Makes, shows, revokes and accepts invitations; refusals are those of ``OrgService``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def list(self, principal: Principal, org: int | str) -> list[Invitation]:
        """Return the invitations with which somebody may still join, newest first; for owners."""
        return await self._database.run(
            lambda: invitation_store.open_ones(
                allowed_org(principal, org, Action.MANAGE).id
            )
        )

    async def create(
        self,
        principal: Principal,
        org: int | str,
        role: MemberRole,
        *,
        note: str = "",
        days: int = DEFAULT_DAYS,
    ) -> tuple[Invitation, str]:
        """Return a new invitation, and its token, which is shown this once.

        Raises:
            InvalidError: It would last too long, or the note is too long.
        """
        note = " ".join(note.split())
        if len(note) > MAX_NOTE:
            raise InvalidError.field("note", f"use at most {MAX_NOTE} characters")
        if not 1 <= days <= MAX_DAYS:
            raise InvalidError.field("days", f"give 1 to {MAX_DAYS} days")
        token = new_key(PREFIX)

        def write() -> Invitation:
            found = allowed_org(principal, org, Action.MANAGE)
            made = invitation_store.add(
                found.id,
                role=role,
                note=note,
                token_hash=key_hash(token),
                created_by=principal.name,
                expires_at=now() + timedelta(days=days),
            )
            told = {"invitation": made.id, "role": role.value, "note": note}
            audit_org(principal, "org.invite", found, told)
            return made

        return await self._database.run(write), token

    async def revoke(
        self, principal: Principal, org: int | str, invitation_id: int
    ) -> None:
        """Shut an invitation: nobody joins with it any more.

        Raises:
            InvitationNotFoundError: The organisation has no open one of this number.
        """

        def write() -> None:
            found = allowed_org(principal, org, Action.MANAGE)
            if not invitation_store.revoke(found.id, invitation_id):
                raise InvitationNotFoundError(
                    f"{found.name} has no open invitation {invitation_id}."
                )
            told = {"invitation": invitation_id}
            audit_org(principal, "org.revoke_invitation", found, told)

        await self._database.run(write)

    async def look(self, token: str) -> tuple[Org, Invitation]:
        """Return what a token invites to.

        Raises:
            InvitationNotFoundError: It is none, or was used, revoked or ran out.
        """

        def read() -> tuple[Org, Invitation]:
            found = _find(token)
            return store.get(found.org_id), found

        return await self._database.run(read)

    async def accept(self, principal: Principal, token: str) -> Org:
        """Join the organisation that a token invites to.

        Raises:
            InvitationNotFoundError: It is none, or was used, revoked or ran out.
            AlreadyMemberError: They belong to it already; the invitation stays open.
            NotAllowedError: No person asks, or with a key that is narrowed.
        """
        user_id = principal.user_id
        if user_id is None or principal.scope is not None:
            raise NotAllowedError(
                "Only a person joins an organisation, for all that they may do.",
                hint="Sign in, or use a key that is not narrowed.",
            )

        def write() -> Org:
            invitation = _find(token)
            org = store.get(invitation.org_id)
            store.lock(org.id)
            if store.member(org.id, user_id) is not None:
                raise AlreadyMemberError(
                    f"You belong to {org.name} already.",
                    hint="The link is still good for somebody else.",
                )
            store.add_member(
                org.id, user_id, invitation.role, added_by=invitation.created_by
            )
            invitation_store.use(invitation.id, by=principal.name)
            told = {"invitation": invitation.id, "role": invitation.role.value}
            audit_org(principal, "org.join", org, told)
            return org

        return await self._database.run(write)


def _find(token: str) -> Invitation:
    found = invitation_store.find(key_hash(token))
    if found is None:
        raise InvitationNotFoundError(
            "This invitation is not known, was used or revoked, or ran out.",
            hint="Ask whoever sent it for a new one.",
        )
    return found
