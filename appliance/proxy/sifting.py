"""Finds the few that break the whole, so that all others go on. Pure."""

from collections.abc import Awaitable, Callable, Sequence

Passes = Callable[[Sequence[str]], Awaitable[bool]]


async def sift(items: Sequence[str], passes: Passes) -> tuple[str, ...]:
    """Return those of ``items`` without which the others pass; all of them, if nothing passes even without any.

    Each bad one costs as many trials as halving finds it in.

    Args:
        passes: Whether these together are taken.
    """
    if await passes(items):
        return ()
    if not await passes(()):
        return tuple(items)
    bad: list[str] = []
    await _sift(items, [], passes, bad)
    return tuple(bad)


async def _sift(
    items: Sequence[str],
    good: list[str],
    passes: Passes,
    bad: list[str],
) -> None:
    if not items:
        return
    if await passes([*good, *items]):
        good.extend(items)
        return
    if len(items) == 1:
        bad.extend(items)
        return
    half = len(items) // 2
    await _sift(items[:half], good, passes, bad)
    await _sift(items[half:], good, passes, bad)
