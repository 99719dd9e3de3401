"""What the product refuses about evaluations."""

from appliance.core.errors import ConflictError, InvalidError, NotFoundError


class CertificationNotFoundError(NotFoundError):
    """There is no such certification, or the caller may not know of it."""

    code = "certification_not_found"


class CertificationChangedError(ConflictError):
    """Somebody else changed the certification meanwhile."""

    code = "certification_changed"


class NothingToCertifyError(ConflictError):
    """There is no digest that could be certified: nothing was built, or it never ran."""

    code = "nothing_to_certify"


class EvidenceFileNotFoundError(NotFoundError):
    """There is no such file beside the certification."""

    code = "evidence_file_not_found"


class EvidenceTooLargeError(InvalidError):
    """A file, or all files of a certification, are more than there is room for."""

    code = "evidence_too_large"


class TestNotFoundError(NotFoundError):
    """There is no such test."""

    code = "test_not_found"
    __test__ = False


class TestInUseError(ConflictError):
    """A suite holds the test."""

    code = "test_in_use"
    __test__ = False


class SuiteNotFoundError(NotFoundError):
    """There is no such suite."""

    code = "suite_not_found"


class NameTakenError(ConflictError):
    """The server has another one of this name."""

    code = "evaluation_name_taken"


class RunNotFoundError(NotFoundError):
    """There is no such run, or the caller may not know of it."""

    code = "evaluation_run_not_found"


class RunFinishedError(ConflictError):
    """The run has ended."""

    code = "evaluation_run_finished"


class NothingToAskError(ConflictError):
    """No version of the server could be asked."""

    code = "nothing_to_ask"


class AcceptedNotFoundError(NotFoundError):
    """There is no such accepted difference."""

    code = "accepted_not_found"
