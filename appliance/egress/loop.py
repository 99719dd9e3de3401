"""A small event loop: sockets, what other threads ask for, and what happens every so often.

asyncio would do, and take half of the memory that this process may have.
"""

import contextlib
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


Ready = Callable[[int], None]
#: What a socket is watched for.
READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Loop:
    """Calls back in one thread."""

    def __init__(self) -> None:
        """Open the pipe that wakes it."""
        self._selector = selectors.DefaultSelector()
        self._posted: deque[Callable[[], None]] = deque()
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._out, READ, lambda _: self._drain())
        self._ticks: list[tuple[float, float, Callable[[], None]]] = []
        self._once: list[tuple[float, Callable[[], None]]] = []
        self._is_stopping = False

    def watch(self, place: _HasDescriptor, events: int, ready: Ready) -> None:
        """Call ``ready`` with what happened whenever one of ``events`` did; 0: with nothing, until asked again."""
        descriptor = place.fileno()
        known = descriptor in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(descriptor)
        elif known:
            self._selector.modify(descriptor, events, ready)
        else:
            self._selector.register(descriptor, events, ready)

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Call ``action`` every so many seconds."""
        self._ticks.append((time.monotonic() + seconds, seconds, action))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Call ``action`` once, after so many seconds."""
        self._once.append((time.monotonic() + seconds, action))

    def post(self, action: Callable[[], None]) -> None:
        """Have ``action`` called by the loop; from any thread."""
        self._posted.append(action)
        with contextlib.suppress(BlockingIOError):
            os.write(self._in, b"\0")

    def stop(self, *_: Any) -> None:
        """Let ``run`` return; also a signal's handler."""
        self.post(self._stop)

    def run(self) -> None:
        """Serve until stopped. Blocking."""
        while not self._is_stopping:
            for key, events in self._selector.select(self._until_tick()):
                # One that an earlier callback of this turn stopped watching is no longer there.
                if key.fd in self._selector.get_map():
                    key.data(events)
            self._run_ticks()

    def _stop(self) -> None:
        self._is_stopping = True

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._out, 4096)
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def _until_tick(self) -> float | None:
        due = [item[0] for item in self._ticks] + [item[0] for item in self._once]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _run_ticks(self) -> None:
        now = time.monotonic()
        ready = [action for due, action in self._once if due <= now]
        self._once = [item for item in self._once if item[0] > now]
        for action in ready:
            action()
        for index, (due, seconds, action) in enumerate(self._ticks):
            if due <= now:
                self._ticks[index] = (now + seconds, seconds, action)
                action()
