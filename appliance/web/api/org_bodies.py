"""What callers say about organisations, and how organisations look, in JSON."""

from datetime import datetime
from typing import Self

from pydantic import Field

from appliance.accounts.model import MemberRole
from appliance.accounts.orgs.invitations import DEFAULT_DAYS, MAX_DAYS, MAX_NOTE
from appliance.accounts.orgs.model import Invitation, Member, OrgView, Owner
from appliance.accounts.orgs.service import MAX_QUOTA, MAX_TITLE
from appliance.web.api.answer import Answer
from appliance.web.parsing import Input

OF_ORG = "Name or id of the organisation that it shall belong to; absent: the caller."
OWNER = "The person whose it is, or, where `org_id` is set, who brought it."
ORG = "The organisation that it belongs to; null: the person `owner_id`."
QUOTA = "How many servers it may have; null: any number."
ROLE = "`reader` sees and calls, `deployer` also deploys, `maintainer` also changes, `owner` also manages and transfers."


class NewOrgBody(Input):
    """An organisation to found."""

    name: str = Field(
        max_length=63, description="Lower-case DNS label.", examples=["data-team"]
    )
    title: str = Field(
        "", max_length=MAX_TITLE, description="For people; empty: the name."
    )


class OrgChangeBody(Input):
    """What shall be otherwise; what is absent stays."""

    title: str | None = Field(None, max_length=MAX_TITLE)
    server_quota: int | None = Field(
        None,
        ge=0,
        le=MAX_QUOTA,
        description=f"{QUOTA} For administrators of the box.",
    )


class OrgAnswer(Answer):
    """One organisation."""

    id: int
    name: str
    title: str = Field(description="For people; empty: the name.")
    role: MemberRole | None = Field(
        description="What the caller is in it; null: they do not belong to it."
    )
    members: int
    servers: int
    bundles: int
    server_quota: int | None = Field(description=QUOTA)
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, view: OrgView) -> Self:
        """Return ``view`` as it is answered."""
        org = view.org
        return cls(
            id=org.id,
            name=org.name,
            title=org.title,
            role=view.role,
            members=view.members,
            servers=view.holdings.servers,
            bundles=view.holdings.bundles,
            server_quota=org.server_quota,
            created_by=org.created_by,
            created_at=org.created_at,
        )


class OrgQuery(Input):
    """Which organisations."""

    q: str = Field("", max_length=200, description="Part of the name or title.")
    cursor: str = Field(
        "", max_length=200, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Organisations a page.")


class OrgPage(Answer):
    """Some organisations, by name."""

    items: list[OrgAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class NewMemberOfOrgBody(Input):
    """Somebody who shall belong to an organisation."""

    email: str = Field(max_length=254, description="Of somebody on this box.")
    role: MemberRole = Field(description=ROLE)


class RoleBody(Input):
    """What somebody shall be."""

    role: MemberRole = Field(description=ROLE)


class OrgMemberAnswer(Answer):
    """Somebody who belongs to an organisation."""

    user_id: int
    email: str
    role: MemberRole
    added_by: str
    added_at: datetime

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return ``member`` as it is answered."""
        return cls.model_validate(member, from_attributes=True)


class OrgMemberList(Answer):
    """Who belongs to an organisation, by address."""

    items: list[OrgMemberAnswer]


class NewInvitationBody(Input):
    """An invitation to make."""

    role: MemberRole = Field(description=ROLE)
    note: str = Field("", max_length=MAX_NOTE, description="For whom it is.")
    days: int = Field(
        DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="How long the link is good."
    )


class InvitationAnswer(Answer):
    """An invitation that nobody has used yet, without its link."""

    id: int
    role: MemberRole
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        """Return ``invitation`` as it is answered."""
        return cls.model_validate(invitation, from_attributes=True)


class NewInvitationAnswer(InvitationAnswer):
    """A new invitation."""

    token: str = Field(description="Shown this once; stored hashed.")
    link: str = Field(description="Where whoever is invited joins, with the token.")


class InvitationList(Answer):
    """Invitations with which somebody may still join, newest first."""

    items: list[InvitationAnswer]


class TokenBody(Input):
    """An invitation's token."""

    token: str = Field(min_length=1, max_length=200)


class InvitedAnswer(Answer):
    """What an invitation is to."""

    org: str
    title: str
    role: MemberRole
    invited_by: str
    expires_at: datetime


class TransferBody(Input):
    """To whom something is given: an organisation, a person, or, with neither, the caller."""

    org: str | None = Field(None, description="Name or id of an organisation.")
    user: str = Field(
        "",
        max_length=254,
        description="Address of a person; another than the caller's for administrators.",
    )


class OwnerAnswer(Answer):
    """To whom something belongs."""

    user_id: int = Field(description=OWNER)
    org_id: int | None = Field(description=ORG)
    name: str = Field(description="The person's address, or the organisation's name.")

    @classmethod
    def of(cls, owner: Owner) -> Self:
        """Return ``owner`` as it is answered."""
        return cls(user_id=owner.user_id, org_id=owner.org_id, name=owner.name)


class TransferAnswer(Answer):
    """What became of a transfer; transferring to `before` undoes it."""

    before: OwnerAnswer
    after: OwnerAnswer
