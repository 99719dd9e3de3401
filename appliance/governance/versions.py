"""Whether what somebody changes is still what they looked at. Pure."""

from appliance.governance.errors import StaleVersionError

_AGAIN = "Look at it again, then repeat what still makes sense."


def require_version(seen: int | None, now: int, what: str) -> None:
    """Let a change through unless something else came in between.

    Args:
        seen: The version that was looked at; ``None``: whatever there is.
        now: The version of now.
        what: What it is, and how; stands before the versions.

    Raises:
        StaleVersionError: It is at another version by now.
    """
    if seen is not None and seen != now:
        raise StaleVersionError(f"{what} at version {now}, not {seen}.", hint=_AGAIN)
