"""What is refused about organisations."""

from appliance.core.errors import ConflictError, NotFoundError


class OrgNotFoundError(NotFoundError):
    """There is no such organisation, or one may not know of it."""

    code = "org_not_found"


class OrgNameTakenError(ConflictError):
    """Another organisation has the name."""

    code = "org_name_taken"


class OrgNotEmptyError(ConflictError):
    """Something still belongs to the organisation."""

    code = "org_not_empty"


class MembershipNotFoundError(NotFoundError):
    """The person does not belong to the organisation."""

    code = "org_member_not_found"


class AlreadyMemberError(ConflictError):
    """The person belongs to the organisation already."""

    code = "already_member"


class LastOwnerError(ConflictError):
    """The organisation would be left without an owner."""

    code = "last_owner"


class InvitationNotFoundError(NotFoundError):
    """There is no such invitation, or it was used, revoked or ran out."""

    code = "invitation_not_found"


class QuotaReachedError(ConflictError):
    """No more may belong to this person or organisation."""

    code = "quota_reached"
