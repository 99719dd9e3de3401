"""Whether the hub can do its work, part by part and in words."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from appliance.core.errors import DomainError, UnavailableError

log = structlog.get_logger("web")

PATIENCE_S = 3.0
#: Pages and balancers ask often, and every asking costs a query and an engine call.
FRESH_FOR_S = 1.0


class PartState(StrEnum):
    """How one part is."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class Part:
    """One part's state, and a sentence for a person."""

    name: str
    state: PartState
    text: str

    @property
    def is_down(self) -> bool:
        """Whether it does not work at all."""
        return self.state is PartState.DOWN

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.state is PartState.OK


@dataclass(frozen=True)
class Report:
    """All parts; the whole is as well as its worst part."""

    parts: tuple[Part, ...]

    @property
    def state(self) -> PartState:
        """The worst state of any part."""
        order = list(PartState)
        return max(
            (part.state for part in self.parts), key=order.index, default=PartState.OK
        )

    @property
    def is_ready(self) -> bool:
        """Whether work can be taken on; a degraded hub takes it."""
        return self.state is not PartState.DOWN


class DegradedError(UnavailableError):
    """A part works, but not as it should."""

    code = "degraded"


#: Returns a sentence when all is well; raises ``DegradedError``, or any other domain error when the part is down.
Check = Callable[[], Awaitable[str]]


class Readiness:
    """Asks every part, all at once, and remembers the answer for a moment.

    Args:
        checks: Name of the part to its check, in the order in which they are shown.
        patience_s: Seconds one part may take to answer before it counts as down.
        fresh_for_s: Seconds an answer is good for.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        patience_s: float = PATIENCE_S,
        fresh_for_s: float = FRESH_FOR_S,
    ) -> None:
        """Keep the checks; nothing is asked yet."""
        self._checks = dict(checks)
        self._patience_s = patience_s
        self._fresh_for_s = fresh_for_s
        self._asking = asyncio.Lock()
        self._report = Report(())
        self._asked_at = float("-inf")

    def known(self) -> Mapping[str, int]:
        """Return how every part was when it was asked last: 0 well, 1 degraded, 2 down."""
        order = list(PartState)
        return {part.name: order.index(part.state) for part in self._report.parts}

    async def parts(self) -> tuple[Part, ...]:
        """Return how every part is, asked one after another.

        For whoever asks all the time and waits for nobody: all at once would keep as many connections of Postgres open.
        """
        found = [
            await _ask(name, check, self._patience_s)
            for name, check in self._checks.items()
        ]
        self._report, self._asked_at = Report(tuple(found)), time.monotonic()
        return self._report.parts

    async def report(self) -> Report:
        """Return how every part is; never raises, a part that fails is an answer."""
        async with self._asking:
            if time.monotonic() - self._asked_at > self._fresh_for_s:
                parts = await asyncio.gather(
                    *(
                        _ask(name, check, self._patience_s)
                        for name, check in self._checks.items()
                    )
                )
                self._report = Report(tuple(parts))
                self._asked_at = time.monotonic()
            return self._report


async def _ask(name: str, check: Check, patience_s: float) -> Part:
    try:
        async with asyncio.timeout(patience_s):
            return Part(name, PartState.OK, await check())
    except DegradedError as error:
        return Part(name, PartState.DEGRADED, error.reason)
    except DomainError as error:
        return Part(name, PartState.DOWN, error.reason)
    except TimeoutError:
        return Part(name, PartState.DOWN, f"No answer within {patience_s:g} seconds.")
    except Exception:
        # A check that breaks must not take the report of the others with it.
        log.exception("health.check_broke", part=name)
        return Part(name, PartState.DOWN, "The check itself broke; the log says how.")
