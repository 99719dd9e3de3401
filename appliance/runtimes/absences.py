"""Tells the ends that the engine's own absence caused from those that servers brought on themselves. Pure.

An engine that is stopped, killed or restarted ends its containers, and says nothing of it, because nobody listens any more. So
what is found ended when it can be listened to again ended with it; as does all on a box that was restarted. No clock is asked.
"""

from collections.abc import Collection


class Absences:
    """What is known of one engine; nobody has listened to it yet."""

    def __init__(self) -> None:
        """Take what has ended before anybody listened for ended with the engine."""
        self._is_heard = False
        self._ended: frozenset[str] = frozenset()
        #: Containers that were started while nobody listened: their ends are their own.
        self._young: set[str] = set()

    def lost(self) -> None:
        """Nobody listens from now on."""
        self._is_heard = False
        self._young.clear()

    def started(self, container_id: str) -> None:
        """Note that a container was started."""
        if not self._is_heard:
            self._young.add(container_id)

    def heard(self, ended: Collection[str]) -> None:
        """Somebody listens again; these were found ended."""
        self._ended = frozenset(ended) - self._young
        self._young.clear()
        self._is_heard = True

    def took(self, container_id: str) -> bool:
        """Return whether a container that has ended did so with the engine."""
        if self._is_heard:
            return container_id in self._ended
        return container_id not in self._young
