"""What the product refuses about governance."""

from appliance.core.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
)


class WorkflowNotFoundError(NotFoundError):
    """There is no such workflow, or the caller may not know of it."""

    code = "governance_workflow_not_found"


class WorkflowNameTakenError(ConflictError):
    """Another workflow has the name."""

    code = "governance_workflow_name_taken"


class WorkflowInUseError(ConflictError):
    """A run of the workflow goes on."""

    code = "governance_workflow_in_use"


class RunNotFoundError(NotFoundError):
    """There is no such run, or the caller may not know of it."""

    code = "governance_run_not_found"


class StepNotFoundError(NotFoundError):
    """The run has no such step."""

    code = "governance_step_not_found"


class StaleVersionError(ConflictError):
    """Somebody changed it since the caller looked."""

    code = "stale_version"


class RunEndedError(ConflictError):
    """The run has ended; nothing about it changes any more."""

    code = "governance_run_ended"


class StepNotOpenError(ConflictError):
    """It is not this step's turn, or its turn is over."""

    code = "governance_step_not_open"


class StepsOpenError(ConflictError):
    """The run cannot complete while steps are open."""

    code = "governance_steps_open"


class AlreadyDecidedError(ConflictError):
    """The person has decided about this step."""

    code = "governance_already_decided"


class SelfApprovalError(ForbiddenError):
    """Whoever started the run may not approve it."""

    code = "governance_self_approval"


class NotAnApproverError(ForbiddenError):
    """The step is for others to decide."""

    code = "governance_not_an_approver"


class CallbackRefusedError(UnauthenticatedError):
    """No step waits for this answer."""

    code = "governance_callback_unknown"
