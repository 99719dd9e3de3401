"""What can be wrong with policies and decisions."""

from appliance.core.errors import ConflictError, NotFoundError


class NoDocumentError(NotFoundError):
    """There is no such version of the policy."""

    code = "policy_document_not_found"


class NoDecisionError(NotFoundError):
    """There is no such decision, or the caller may not know of it."""

    code = "policy_decision_not_found"


class DocumentChangedError(ConflictError):
    """Another version became active since the caller looked."""

    code = "policy_document_changed"
