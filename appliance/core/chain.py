"""A chain of hashes, and the walk along it that shows where it does not hold. Pure.

Each link's hash is made of what it holds and of the hash of the link before, so that whoever changes, removes or puts in
between a link must write all that follow anew. What is hashed is the business of whoever keeps the chain.
"""

from collections.abc import Iterable
from dataclasses import dataclass

#: Before the first link.
GENESIS = "0" * 64
#: More than so many breaks tell nothing more.
MAX_BREAKS = 20


@dataclass(frozen=True)
class Place:
    """A place in the chain, and the hash of the link there."""

    seq: int
    row_hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.row_hash}"


#: What an empty chain ends with, and one of which nothing was pruned begins after.
START = Place(0, GENESIS)


@dataclass(frozen=True)
class Link:
    """A link as the walk sees it."""

    seq: int
    prev_hash: str
    row_hash: str
    #: Of what it holds now.
    actual_hash: str


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold."""

    seq: int
    #: ``changed``, ``missing``, ``unlinked`` or ``unknown``.
    what: str
    message: str


class Walk:
    """Goes along the chain and notes every place where it does not hold.

    Args:
        noun: What people call a link, such as ``run``.
        parts: What else of a link is hashed, as it stands behind its number; empty: nothing that has a name.
        start: The last link that is not kept any more.
        known: A place that somebody wrote down, which must be on the way.
    """

    def __init__(
        self,
        noun: str,
        parts: str = "",
        *,
        start: Place = START,
        known: Place | None = None,
    ) -> None:
        """Stand at the start."""
        self.last = start
        self.count = 0
        self.breaks: list[Break] = []
        self._noun = noun
        self._parts = parts
        self._known = known
        if known and known.seq == start.seq:
            self._compare(known)

    def over(self, links: Iterable[Link]) -> None:
        """Go on over ``links``, in the order of their places."""
        for link in links:
            self._step(link)

    def _step(self, link: Link) -> None:
        named = f"{self._noun.capitalize()} {link.seq}"
        if link.seq != self.last.seq + 1:
            self._missing(self.last.seq + 1, link.seq - 1)
        elif link.prev_hash != self.last.row_hash:
            message = f"{named} does not follow what is before it: one of the two was written anew."
            self._note(link.seq, "unlinked", message)
        if link.actual_hash != link.row_hash:
            message = f"{named}{self._parts} is not what was written."
            self._note(link.seq, "changed", message)
        self.last = Place(link.seq, link.row_hash)
        self.count += 1
        if self._known and self._known.seq == link.seq:
            self._compare(self._known)

    def end(self, end: Place) -> None:
        """Compare the end with what the chain's keeper says of it."""
        noun = self._noun
        if self.last.seq < end.seq:
            self._missing(self.last.seq + 1, end.seq)
        elif self.last != end:
            message = f"{noun.capitalize()} {end.seq} is not the one that the chain ended with."
            self._note(end.seq, "unlinked", message)
        if self._known and self._known.seq > end.seq:
            message = f"There are {end.seq} {noun}s; {noun} {self._known.seq} was written down."
            self._note(end.seq, "missing", message)

    def _compare(self, known: Place) -> None:
        if self.last != known:
            message = f"{self._noun.capitalize()} {known.seq} does not have the hash that was written down."
            self._note(known.seq, "unknown", message)

    def _missing(self, first: int, last: int) -> None:
        noun = self._noun.capitalize()
        which = f"{noun} {first} is" if first == last else f"{noun}s {first} to {last} are"  # fmt: skip
        self._note(first, "missing", f"{which} missing.")

    def _note(self, seq: int, what: str, message: str) -> None:
        if len(self.breaks) < MAX_BREAKS:
            self.breaks.append(Break(seq, what, message))
