"""How much a key may ask of the box, and how much a server is asked: calls a second, and calls at once.

All workers count in one piece of shared memory that the master made before it forked. Every limited subject has a slot there,
and in the slot every worker has cells of its own, so nobody waits for anybody; to decide, a worker adds the cells up. Only
subjects that have a limit are counted at all.
"""

import fcntl
import hashlib
import math
import mmap
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from appliance.gateway.edge.keys import Admission

HUB: Final = "hub"
#: Subjects that can be limited at once. One that finds no slot is let through: limits are fairness, keys are security.
SLOTS: Final = 4096
_BYTES = 8
#: Of one worker in one slot: number of the window, calls in it, calls in the one before, calls in flight.
_WINDOW, _NOW, _BEFORE, _FLYING, _CELLS = range(5)


@dataclass(frozen=True, slots=True)
class Limit:
    """What one subject may do."""

    #: Such as ``key:9f86d081`` or ``server:12``.
    subject: str
    #: Said to who meets the limit: ``This key``, or the server's name.
    name: str
    #: 0: no limit.
    calls_per_second: float = 0.0
    #: Calls at once; 0: no limit.
    concurrency: int = 0

    @property
    def window_s(self) -> float:
        """Seconds over which calls are counted: one, or as long as one call takes its turn."""
        return max(1.0, 1.0 / self.calls_per_second) if self.calls_per_second else 1.0


def limit(subject: str, name: str, values: Mapping[str, float]) -> Limit | None:
    """Return the limit that ``values`` (``calls_per_second``, ``concurrency``) set; ``None`` if they set none."""
    rate = float(values.get("calls_per_second") or 0.0)
    concurrency = int(values.get("concurrency") or 0)
    return Limit(subject, name, rate, concurrency) if rate or concurrency else None


def limits_of(
    admission: Admission, key_defaults: Mapping[str, float]
) -> tuple[Limit, ...]:
    """Return the limits that an admitted call has to keep: those of its key and those of its server.

    Args:
        admission: Of the call.
        key_defaults: What a person's key may do that has no limits of its own. The keys of endpoints are limited by their
            servers, and the hub's own by nothing.
    """
    found = []
    key, route = admission.user_key, admission.route
    if key is not None:
        values = {
            "calls_per_second": key.calls_per_second,
            "concurrency": key.concurrency,
        }
        given = {name: value for name, value in values.items() if value is not None}
        found.append(limit(f"key:{key.key_id}", "This key", {**key_defaults, **given}))
    if admission.token_of:
        subject = f"token:{admission.principal}:{admission.token_of}"
        found.append(limit(subject, "This client", key_defaults))
    if admission.principal != HUB:
        found.append(limit(f"server:{route.server_id}", f"{route.name}", route.limits))
    return tuple(item for item in found if item is not None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call has to wait."""

    message: str
    #: Whole seconds, for ``Retry-After``; at least 1.
    retry_after_s: int


class Token:
    """A call that was let in; give it back with ``Limiter.leave`` when the call is over."""

    __slots__ = ("slots",)

    def __init__(self, slots: tuple[int, ...]) -> None:
        """Remember where the call is counted as in flight."""
        self.slots = slots


class LimitTable:
    """The shared memory. Made by the master.

    Args:
        workers: How many may count.
        slots: How many subjects fit.
    """

    def __init__(self, workers: int, slots: int = SLOTS) -> None:
        """Map zeroed memory that children share; what is not touched costs nothing."""
        self.workers = max(1, workers)
        self.slots = slots
        self.row = self.workers * _CELLS
        self.tags = memoryview(mmap.mmap(-1, slots * _BYTES)).cast("Q")
        self.cells = memoryview(mmap.mmap(-1, slots * self.row * _BYTES)).cast("Q")
        self._lock = os.memfd_create("gateway-limits")

    def slot(self, subject: str) -> int | None:
        """Return the slot of ``subject``, taking one for it if it has none; ``None``: all are taken."""
        tag = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:_BYTES]) or 1
        found = self._find(tag)
        if found is None or self.tags[found] == tag:
            return found
        with self._locked():
            found = self._find(tag)
            if found is not None:
                self.tags[found] = tag
            return found

    def forget_worker(self, index: int) -> None:
        """Forget the calls in flight of a worker that is gone; its successor counts in the same cells."""
        for slot in range(self.slots):
            if self.tags[slot]:
                self.cells[slot * self.row + index * _CELLS + _FLYING] = 0

    def _find(self, tag: int) -> int | None:
        """Return where ``tag`` is, or the empty slot where it belongs."""
        start = tag % self.slots
        for step in range(self.slots):
            slot = (start + step) % self.slots
            if self.tags[slot] in {tag, 0}:
                return slot
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Held for the time of a search; the kernel lets go of it when its holder dies.
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


class Limiter:
    """Lets calls in, for one worker.

    Args:
        table: Shared by all workers.
        index: Of this worker.
        now: Seconds; the same clock in every worker.
    """

    def __init__(
        self, table: LimitTable, index: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Take over the cells of a predecessor."""
        table.forget_worker(index)
        self._table = table
        self._own = index * _CELLS
        self._now = now
        self._is_detached = False
        self._slots: dict[str, int | None] = {}

    def enter(self, *limits: Limit | None) -> Token | Refusal:
        """Count a call under every limit, or under none if one of them is met."""
        counted: list[int] = []
        flying: list[int] = []
        for item in limits:
            slot = None if item is None else self._slot(item.subject)
            if item is None or slot is None:
                continue
            refusal = self._count(item, slot, counted, flying)
            if refusal is not None:
                self._take_back(counted, flying)
                return refusal
        return Token(tuple(flying))

    def leave(self, token: Token) -> None:
        """The call is over."""
        if not self._is_detached:
            for slot in token.slots:
                self._table.cells[slot * self._table.row + self._own + _FLYING] -= 1

    def detach(self) -> None:
        """Stop counting: from now on the cells belong to a successor. Open calls count no longer."""
        self._is_detached = True

    def _slot(self, subject: str) -> int | None:
        if subject not in self._slots:
            self._slots[subject] = self._table.slot(subject)
        return self._slots[subject]

    def _count(
        self, item: Limit, slot: int, counted: list[int], flying: list[int]
    ) -> Refusal | None:
        cells, base = self._table.cells, slot * self._table.row
        own = base + self._own
        if item.concurrency:
            # Counted first and looked at then: of two workers that meet here, never both get the last place.
            cells[own + _FLYING] += 1
            flying.append(slot)
            if self._sum(base, _FLYING) > item.concurrency:
                text = f"{item.name} may have {item.concurrency} calls at once; try again when one is over."
                return Refusal(text, 1)
        if item.calls_per_second:
            return self._count_rate(item, slot, counted)
        return None

    def _count_rate(self, item: Limit, slot: int, counted: list[int]) -> Refusal | None:
        window, part = divmod(self._now(), item.window_s)
        part /= item.window_s
        number = int(window)
        self._turn(slot, number)
        used = self._used(slot, number, part)
        if used + 1 > item.calls_per_second * item.window_s:
            rate = f"{item.calls_per_second:g}"
            wait_s = max(1, math.ceil(item.window_s * (1 - part)))
            return Refusal(
                f"{item.name} may make {rate} calls a second; try again later.", wait_s
            )
        self._table.cells[slot * self._table.row + self._own + _NOW] += 1
        counted.append(slot)
        return None

    def _turn(self, slot: int, number: int) -> None:
        """Bring this worker's cells to window ``number``."""
        cells, own = self._table.cells, slot * self._table.row + self._own
        if cells[own + _WINDOW] != number:
            follows = cells[own + _WINDOW] == number - 1
            cells[own + _BEFORE] = cells[own + _NOW] if follows else 0
            cells[own + _NOW] = 0
            cells[own + _WINDOW] = number

    def _used(self, slot: int, number: int, part: float) -> float:
        """Return how many calls all workers counted in the window that ends now.

        The calls of the window before are taken to have come evenly, so they count by the part of it that is not over yet.
        """
        cells, base = self._table.cells, slot * self._table.row
        used = 0.0
        for start in range(base, base + self._table.row, _CELLS):
            window = cells[start + _WINDOW]
            if window == number:
                used += cells[start + _NOW] + cells[start + _BEFORE] * (1 - part)
            elif window == number - 1:
                used += cells[start + _NOW] * (1 - part)
        return used

    def _take_back(self, counted: list[int], flying: list[int]) -> None:
        for slot in counted:
            self._table.cells[slot * self._table.row + self._own + _NOW] -= 1
        for slot in flying:
            self._table.cells[slot * self._table.row + self._own + _FLYING] -= 1

    def _sum(self, base: int, cell: int) -> int:
        cells = self._table.cells
        return sum(cells[base + cell : base + self._table.row : _CELLS])
