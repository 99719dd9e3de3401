"""Who says what is wrong. Each takes facts that somebody else finds out, and makes conditions of them."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from appliance.alerts.model import Condition, Severity, Source
from appliance.infra.supervision import ProgramState


class Part(Protocol):
    """A part of the box, as readiness reports it."""

    @property
    def name(self) -> str:
        """Of the part."""
        ...

    @property
    def text(self) -> str:
        """How it is, for a person."""
        ...

    @property
    def is_down(self) -> bool:
        """Whether it does not work at all."""
        ...

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with it."""
        ...


def of_parts(
    parts: Callable[[], Awaitable[Iterable[Part]]], *, but: Collection[str] = ()
) -> Source:
    """Return what makes a condition of every part that is not well.

    Args:
        parts: Finds out how they are.
        but: Parts that another source speaks of.
    """

    async def look() -> Sequence[Condition]:
        return [
            Condition(
                f"health:{part.name}",
                Severity.CRITICAL if part.is_down else Severity.WARNING,
                part.text,
                "The page Health says how the other parts are.",
            )
            for part in await parts()
            if not part.is_well and part.name not in but
        ]

    return look


def of_programs(
    programs: Callable[[], Awaitable[Mapping[str, ProgramState]]],
    at: Callable[[], float],
) -> Source:
    """Return what makes a condition of every program that keeps ending, or had to be ended.

    Args:
        programs: Finds out how they are.
        at: The moment, in seconds.
    """

    async def look() -> Sequence[Condition]:
        found = []
        for name, state in (await programs()).items():
            if state.alarm:
                found.append(_keeps_ending(name, state))
            elif state.was_ended and at() - state.at < ENDED_TOLD_S:
                found.append(_was_ended(name, state))
        return found

    return look


#: So long one is told that had to be ended once.
ENDED_TOLD_S = 900.0


def _keeps_ending(name: str, state: ProgramState) -> Condition:
    return Condition(
        f"supervision:{name}",
        Severity.CRITICAL,
        f"{name} {state.alarm}: {state.reason}.",
        f"Its log in DATA_DIR/log says why ({name.partition(':')[0]}.log).",
        after_s=0,
    )


def _was_ended(name: str, state: ProgramState) -> Condition:
    return Condition(
        f"supervision:{name}",
        Severity.WARNING,
        f"{name} hung and was started again: {state.reason}.",
        f"What it did then is in its log in DATA_DIR/log ({name.partition(':')[0]}.log).",
        after_s=0,
    )


def of_servers(failed: Callable[[], Awaitable[Mapping[int, tuple[str, str]]]]) -> Source:  # fmt: skip
    """Return what makes a condition of every server that should run and is given up.

    Args:
        failed: Number to name and reason.
    """

    async def look() -> Sequence[Condition]:
        return [
            Condition(
                f"server:{number}",
                Severity.WARNING,
                f"The server {name} is in error: {reason}",
                "Its page has the log; a redeploy begins anew.",
            )
            for number, (name, reason) in (await failed()).items()
        ]

    return look
