"""How good servers are, by what their suites last said. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from appliance.evaluations.suites import Run, RunState

#: Runs of a suite that its trend shows.
TREND = 30


@dataclass(frozen=True)
class SuiteScore:
    """What a suite last said."""

    suite_id: int
    name: str
    last: Run
    #: Oldest first.
    trend: tuple[Run, ...]


@dataclass(frozen=True)
class ServerScore:
    """How good a server is."""

    server_id: int
    server_name: str
    #: Of the newest runs' calls, from 0 to 1; ``None``: nothing was run.
    score: float | None
    total: int
    passed: int
    #: From 1; servers that are equally good share a place. ``None``: nothing was run.
    rank: int | None
    #: ``passed``, ``failed``, or empty.
    state: str
    last_at: datetime | None
    suites: tuple[SuiteScore, ...] = ()


def scored(servers: Mapping[int, str], runs: Sequence[Run]) -> list[ServerScore]:
    """Return servers by how good they are, the best first, those that nothing was run of last.

    Args:
        servers: Ids to names.
        runs: Ended runs of their suites, newest first.
    """
    by_server: dict[int, list[Run]] = {}
    for run in runs:
        by_server.setdefault(run.server_id, []).append(run)
    found = [
        _server(server_id, name, by_server.get(server_id, []))
        for server_id, name in servers.items()
    ]
    found.sort(key=lambda item: (-_weight(item), -item.total, item.server_name))
    return _ranked(found)


def _server(server_id: int, name: str, runs: Sequence[Run]) -> ServerScore:
    by_suite: dict[int, list[Run]] = {}
    for run in runs:
        if run.suite_id is not None:
            by_suite.setdefault(run.suite_id, []).append(run)
    suites = tuple(
        SuiteScore(
            suite_id, of_it[0].suite_name, of_it[0], tuple(of_it[TREND - 1 :: -1])
        )
        for suite_id, of_it in sorted(by_suite.items())
    )
    last = [item.last for item in suites]
    total = sum(run.total for run in last)
    is_passed = all(run.state is RunState.PASSED for run in last)
    return ServerScore(
        server_id=server_id,
        server_name=name,
        score=sum(run.score * run.total for run in last) / total if total else None,
        total=total,
        passed=sum(run.passed for run in last),
        rank=None,
        state=("passed" if is_passed else "failed") if last else "",
        last_at=max((run.finished_at for run in last if run.finished_at), default=None),
        suites=suites,
    )


def _weight(item: ServerScore) -> float:
    return -1.0 if item.score is None else round(item.score, 6)


def _ranked(found: list[ServerScore]) -> list[ServerScore]:
    ranked: list[ServerScore] = []
    for place, item in enumerate(found, 1):
        if item.score is None:
            ranked.append(item)
            continue
        before = ranked[-1] if ranked else None
        is_equal = before is not None and _weight(before) == _weight(item)
        rank = before.rank if before is not None and is_equal else place
        ranked.append(replace(item, rank=rank))
    return ranked
