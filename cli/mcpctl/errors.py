"""What stops a command, and the exit code it leaves.

CommandError          1   refused by the hub, or the work failed
└── ApiError          1   the hub's own words (RFC 9457)
└── UnreachableError  3   no hub answers
└── NotLoggedInError  4   there is no key to show
"""

from typing import Any


class CommandError(Exception):
    """The command did not do what it was asked for; the text is for a person."""

    exit_code = 1

    def __init__(self, detail: str, *, hint: str = "") -> None:
        """Keep the texts."""
        super().__init__(detail)
        self.detail = detail
        self.hint = hint

    def lines(self) -> list[str]:
        """Return what a person reads."""
        found = [f"error: {self.detail}"]
        if self.hint:
            found.append(f"hint: {self.hint}")
        return found

    def as_json(self) -> dict[str, Any]:
        """Return what a program reads."""
        return {"detail": self.detail, "hint": self.hint}


class ApiError(CommandError):
    """The hub refused; carries its problem."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        """Keep the problem."""
        super().__init__(
            problem.get("detail") or f"The hub answered {status}.",
            hint=problem.get("hint") or "",
        )
        self.status = status
        self.problem = problem

    def lines(self) -> list[str]:
        """Add the wrong fields, the failing program's last lines and the request id."""
        first, *rest = super().lines()
        fields = [
            f"  {item['field']}: {item['message']}"
            for item in self.problem.get("errors", [])
        ]
        output = [f"  | {line}" for line in self.problem.get("output", [])]
        request_id = self.problem.get("request_id")
        last = [f"request id: {request_id}"] if request_id else []
        return [first, *fields, *output, *rest, *last]

    def as_json(self) -> dict[str, Any]:
        """Return the problem itself."""
        return self.problem or super().as_json()


class UnreachableError(CommandError):
    """No hub answers at the address."""

    exit_code = 3


class NotLoggedInError(CommandError):
    """There is no key to show to the hub."""

    exit_code = 4
