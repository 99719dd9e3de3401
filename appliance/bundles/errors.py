"""What the product refuses about bundles."""

from appliance.core.errors import ConflictError, NotFoundError


class BundleNotFoundError(NotFoundError):
    """There is no such bundle, or the caller may not know of it."""

    code = "bundle_not_found"


class BundleNameTakenError(ConflictError):
    """Another bundle has the name."""

    code = "bundle_name_taken"


class MemberNotFoundError(NotFoundError):
    """The bundle has no such member."""

    code = "bundle_member_not_found"
