"""Where one of a server's names may send its visitors. Pure."""

from collections.abc import Sequence

from appliance.domains.errors import DomainInUseError, InvalidDomainError
from appliance.domains.model import Domain

_FIELD = "redirect_to"


def target_of(domain: Domain, target: str, names: Sequence[Domain]) -> str:
    """Return the name that ``domain`` may send its visitors to.

    Args:
        domain: The one that they come to.
        target: As it was asked for, as DNS has it.
        names: All of the server's.

    Raises:
        InvalidDomainError: It may not be sent there; says what would be right.
    """
    found = next((item for item in names if item.host == target), None)
    if found is None or not found.is_verified:
        raise _wrong(f"{target} is no name of this server that is served; add it first")
    if found.id == domain.id:
        raise _wrong("a name cannot send its visitors to itself")
    if found.is_wildcard:
        raise _wrong(f"{target} is no single name; take one below it")
    if found.redirect_to:
        raise _wrong(f"{target} sends its visitors on to {found.redirect_to}; take that one")  # fmt: skip
    if users := _led_to(domain, names):
        raise _wrong(f"{users[0].host} sends its visitors to {domain.host}; change that one first")  # fmt: skip
    return target


def require_unused(domain: Domain, names: Sequence[Domain]) -> None:
    """Raise ``DomainInUseError`` if another name sends its visitors to ``domain``."""
    if users := _led_to(domain, names):
        raise DomainInUseError(
            f"{users[0].host} sends its visitors to {domain.host}.",
            hint="Have it lead elsewhere first, or remove it.",
        )


def _led_to(domain: Domain, names: Sequence[Domain]) -> list[Domain]:
    return [item for item in names if item.redirect_to == domain.host]


def _wrong(problem: str) -> InvalidDomainError:
    return InvalidDomainError(f"{_FIELD}: {problem}.", fields={_FIELD: problem})
