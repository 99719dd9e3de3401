"""How much of what a build prints is kept: the beginning as it comes, and the end once it is over. Pure."""

from collections import deque

#: Beyond either, lines wait for the end.
HEAD_LINES = 20_000
HEAD_BYTES = 4 * 1024**2
#: What is kept of the end; older lines are counted and forgotten.
TAIL_LINES = 500
TAIL_BYTES = 256 * 1024


class LogBounds:
    """Takes lines and says which are stored; its memory is that of the tail, whatever is printed."""

    def __init__(self) -> None:
        """Begin with all the room."""
        self._lines_left = HEAD_LINES
        self._bytes_left = HEAD_BYTES
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._left_out = 0

    def take(self, text: str) -> str | None:
        """Return what is stored of a line now; ``None``: it waits for the end."""
        size = len(text.encode(errors="replace"))
        if not self._tail and self._lines_left > 0 and size <= self._bytes_left:
            self._lines_left -= 1
            self._bytes_left -= size
            return text
        is_first = not self._tail
        self._tail.append(text)
        self._tail_bytes += size
        while len(self._tail) > TAIL_LINES or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().encode(errors="replace"))
            self._left_out += 1
        return (
            "… The build prints a lot. From here on, only its last lines are kept, and shown when it is over."
            if is_first
            else None
        )

    def rest(self) -> list[str]:
        """Return what is stored at the end: how much was left out, and the last lines."""
        said = (
            [f"… {self._left_out} lines are left out here."] if self._left_out else []
        )
        found = [*said, *self._tail]
        self._tail.clear()
        self._tail_bytes = self._left_out = 0
        return found
