"""What is refused about approvals."""

from appliance.core.errors import ConflictError, NotFoundError


class NothingWaitsError(ConflictError):
    """There is no change that could be decided about."""

    code = "no_tool_change"


class ChangeGoneError(ConflictError):
    """The change is not there any more: the server says something else by now, or somebody decided."""

    code = "tool_change_gone"


class DecisionNotFoundError(NotFoundError):
    """There is no such decision."""

    code = "tool_decision_not_found"


class DecisionStandsError(ConflictError):
    """The decision cannot be taken back."""

    code = "tool_decision_stands"
