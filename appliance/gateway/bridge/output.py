"""What a stdio server prints: the lines of its protocol, and the last of what is none, for when it fails. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from appliance.gateway.bridge import frames
from appliance.gateway.bridge.frames import Overlong

KEPT_LINES = 20
KEPT_LINE_BYTES = 500


class ServerOutput:
    """Takes apart what one container prints.

    Args:
        line_limit: Bytes that a line of the protocol may have.
    """

    def __init__(self, line_limit: int) -> None:
        """Remember nothing yet."""
        self._line_limit = line_limit
        self.garbage_lines = 0
        self.garbage: deque[str] = deque(maxlen=KEPT_LINES)
        self.stderr: deque[str] = deque(maxlen=KEPT_LINES)
        self.begin()

    def begin(self) -> None:
        """Start between two frames and two lines: somebody has attached anew."""
        self._demultiplexer = frames.Demultiplexer()
        self._stdout = frames.LineSplitter(self._line_limit)
        self._stderr = frames.LineSplitter(KEPT_LINE_BYTES)

    def lines(self, chunk: bytes) -> Iterator[bytes | Overlong]:
        """Yield the lines on stdout that end in ``chunk``, empty ones excepted; what was on stderr is remembered.

        Raises:
            FrameError: The engine did not send frames.
        """
        for stream, payload in self._demultiplexer.feed(chunk):
            if stream == frames.STDERR:
                self.stderr.extend(
                    _readable(line) for line in self._stderr.feed(payload)
                )
                continue
            for line in self._stdout.feed(payload):
                if isinstance(line, Overlong) or line.strip():
                    yield line

    def count_garbage(self, line: bytes | Overlong) -> None:
        """Remember a line on stdout that is not the protocol's."""
        self.garbage_lines += 1
        self.garbage.append(_readable(line))

    def remember_stderr(self, lines: Iterable[str]) -> None:
        """Remember what was on stderr before anybody was attached."""
        self.stderr.extend(line[:KEPT_LINE_BYTES] for line in lines)

    def last_words(self, hide: Callable[[str], str]) -> str:
        """Return the last line as the end of a sentence, or nothing; without what ``hide`` hides."""
        if self.stderr:
            return f" Last on its standard error: {hide(self.stderr[-1])}"
        if self.garbage:
            return f" It printed what is not MCP, such as: {hide(self.garbage[-1])}"
        return ""


def _readable(line: bytes | Overlong) -> str:
    raw = line if isinstance(line, bytes) else line.head
    return raw[:KEPT_LINE_BYTES].decode(errors="replace").rstrip()
