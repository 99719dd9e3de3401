"""Whose turn it is to build, when more want to than may: nobody waits because somebody else asked for a lot. Pure."""

from collections.abc import Mapping, Sequence


def next_turn(
    waiting: Sequence[int], *, running: Mapping[int, int], served: Mapping[int, int]
) -> int:
    """Return the place in ``waiting`` of the build that begins next.

    It belongs to whoever has the fewest builds running; among these to whoever was served longest ago; and of one
    person's builds the one that asked first begins first.

    Args:
        waiting: Owners of the builds that wait, in the order in which they asked; not empty.
        running: Owner to the number of builds that run.
        served: Owner to a number that grows with every build that begins; not there: never served.
    """
    return min(
        range(len(waiting)),
        key=lambda place: (
            running.get(waiting[place], 0),
            served.get(waiting[place], -1),
            place,
        ),
    )
