"""What keeps a box from another release."""

from appliance.core.errors import (
    ConflictError,
    FailedError,
    InvalidError,
    NotFoundError,
)


class NotInstalledError(ConflictError):
    """This is a checkout, not an installed box."""

    code = "not_installed"


class UnknownReleaseError(NotFoundError):
    """There is no such release on this box."""

    code = "release_unknown"


class UnfitReleaseError(InvalidError):
    """The release cannot take over from the one that runs."""

    code = "release_unfit"


class UpgradeRunsError(ConflictError):
    """Another upgrade is on its way."""

    code = "upgrade_running"


class UpgradeFailedError(FailedError):
    """A step or a check failed; the text says which, and what was done about it."""

    code = "upgrade_failed"
