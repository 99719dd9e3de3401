"""Lists in pages. Pure."""

from typing import TypeVar

T = TypeVar("T")


def one_page(found: list[T], limit: int) -> tuple[list[T], T | None]:
    """Return the items of a page, and the last of them if another page follows; ``None``: none does.

    Args:
        found: Read with a limit of one more than the page shows, which tells whether there is a next one.
        limit: How many a page shows.
    """
    shown = found[:limit]
    return shown, shown[-1] if len(found) > limit else None
