"""The one tree of domain errors.

    DomainError
    ├── NotFoundError      there is no such thing, or the caller may not know of it
    ├── ConflictError      the thing is in a state that forbids this
    ├── InvalidError       the input is wrong; names the field and what would be right
    ├── UnauthenticatedError   nobody is signed in, or the key is not known
    ├── ForbiddenError     known, but not allowed
    ├── LimitedError       too much or too often; says when to try again
    ├── UnavailableError   something this needs is away; trying later may help
    └── FailedError        the work was tried and did not succeed; carries the last output

Every class has a stable ``code``, which clients match; texts may change. No HTTP here: ``web/problems.py`` maps the seven
branches to RFC 9457 answers once.
"""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """Something the product refuses or could not do, told so that a person can act.

    Args:
        detail: What is wrong, in one or two sentences.
        hint: The next step for the reader, or ``None`` when ``detail`` already says it.
    """

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        """Keep the two texts; ``str()`` gives the detail alone."""
        super().__init__(detail)
        self.detail = detail
        self.hint = hint

    @property
    def reason(self) -> str:
        """The whole story in one line, as status, page and log show it."""
        return f"{self.detail} {self.hint}" if self.hint else self.detail


class NotFoundError(DomainError):
    """There is no such thing, or the caller may not know of it."""

    code = "not_found"


class ConflictError(DomainError):
    """The thing is in a state that forbids this."""

    code = "conflict"


class InvalidError(DomainError):
    """The input is wrong.

    Args:
        fields: Field path (``source.package``) to what is wrong with it and what would be right.
    """

    code = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        fields: Mapping[str, str] | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep the texts and the wrong fields."""
        super().__init__(detail, hint=hint)
        self.fields = dict(fields or {})

    @classmethod
    def field(cls, name: str, problem: str) -> "InvalidError":
        """Return the error for one wrong field."""
        return cls(f"{name}: {problem}", fields={name: problem})


class UnauthenticatedError(DomainError):
    """Nobody is signed in, or the key is not known."""

    code = "unauthenticated"


class ForbiddenError(DomainError):
    """The caller is known, but not allowed to do this."""

    code = "forbidden"


class LimitedError(DomainError):
    """Too much or too often.

    Args:
        retry_after_s: Whole seconds after which the same call may succeed.
    """

    code = "limited"

    def __init__(
        self, detail: str, *, retry_after_s: int, hint: str | None = None
    ) -> None:
        """Keep the texts and the waiting time."""
        super().__init__(detail, hint=hint)
        self.retry_after_s = retry_after_s


class UnavailableError(DomainError):
    """Something this needs is away; trying later may help."""

    code = "unavailable"


class FailedError(DomainError):
    """The work was tried and did not succeed.

    Args:
        output: The last lines that the failing program printed, oldest first.
    """

    code = "failed"

    def __init__(
        self, detail: str, *, output: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        """Keep the texts and the output."""
        super().__init__(detail, hint=hint)
        self.output = output
