"""What a replay does: recorded calls, one after another, and how the answers differ."""

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.core.clock import now
from appliance.evaluations import suite_store
from appliance.evaluations.errors import NothingToAskError
from appliance.evaluations.ports import Called, Caller, Targets
from appliance.evaluations.replay import compare
from appliance.evaluations.replay.calls import (
    LOOKED_THROUGH,
    Call,
    Recorded,
    choose,
    read_only,
)
from appliance.evaluations.showing import (
    Hiding,
    kept_arguments,
    kept_problem,
    kept_text,
)
from appliance.evaluations.suites import (
    TIMEOUT_S,
    Outcome,
    Result,
    Run,
    RunState,
    Version,
)
from appliance.infra.database import Database
from appliance.invocations import store as invocations
from appliance.invocations.model import FullInvocation


class ReplayWork:
    """Makes recorded calls again.

    Args:
        targets: Finds the version that clients are sent to, whose calls were recorded.
    """

    def __init__(self, database: Database, targets: Targets) -> None:
        """Keep the parts."""
        self._database = database
        self._targets = targets

    async def prepare(
        self, run: Run, version: Version
    ) -> tuple[Mapping[str, Any], int]:
        """Choose the calls, once: after a crash the same ones are gone on with.

        Raises:
            NothingToAskError: None of the recorded calls can be made again.
        """
        if "calls" in run.plan:
            return run.plan, len(run.plan["calls"])
        plan = await self._database.run(self._chosen, run, version)
        if not plan["calls"]:
            left = ", ".join(
                f"{count} {why}" for why, count in plan["left_out"].items()
            )
            raise NothingToAskError(
                f"No recorded call can be made again ({left or 'there is none'}).",
                hint="Calls of tools with readOnlyHint are taken, or of tools that you name, whose bodies were kept whole.",
            )
        return plan, len(plan["calls"])

    def _chosen(self, run: Run, version: Version) -> dict[str, Any]:
        source = self._source(version)
        named = frozenset(run.plan.get("tools") or ())
        tools = named or read_only(version.tools) or read_only(source.tools)
        found = choose(
            (
                _recorded(item)
                for item in invocations.recorded_calls(
                    run.server_id,
                    deployment_id=source.deployment_id
                    if version.is_candidate
                    else None,
                    most=LOOKED_THROUGH,
                )
            ),
            tools=tools,
            limit=int(run.plan["limit"]),
        )
        return {
            **run.plan,
            "calls": [item.id for item in found.calls],
            "left_out": found.left_out,
            "called": sorted({item.tool for item in found.calls}),
            "recorded_of": source.number,
        }

    def _source(self, version: Version) -> Version:
        """Return the version whose calls were recorded: what clients are sent to."""
        if not version.is_candidate:
            return version
        return self._targets.version(version.server_id)

    async def result(
        self, run: Run, position: int, caller: Caller, hide: Hiding
    ) -> Result:
        """Make one call again and compare."""
        call = await self._database.run(self._call, run, position)
        if call is None:
            return _gone(position)
        called = await caller.call(call.tool, call.arguments, TIMEOUT_S)
        accepted = await self._database.run(_accepted, run.server_id, call.tool)
        tolerance = compare.Tolerance(**run.plan.get("tolerance", {}))
        told = await asyncio.to_thread(_compared, call, called, tolerance, accepted)
        open_ones = compare.open_ones(told)
        outcome = Outcome.FAILED if open_ones else Outcome.PASSED
        problem = _sentence(open_ones)
        if called.unavailable:
            outcome, problem = Outcome.BROKEN, called.unavailable
        return Result(
            position=position,
            name=f"{call.tool} {position + 1}",
            tool=call.tool,
            arguments=kept_arguments(call.arguments, hide),
            outcome=outcome,
            score=1.0 if outcome is Outcome.PASSED else 0.0,
            problem=kept_problem(problem, hide),
            answered="" if called.unavailable else kept_text(called.answer, hide),
            expected=kept_text(call.answer, hide),
            differences=tuple(_hidden(item, hide) for item in told),
            duration_ms=called.duration_ms,
            size_bytes=called.size_bytes,
            at=now(),
        )

    def _call(self, run: Run, position: int) -> Call | None:
        found = invocations.find(run.server_id, run.plan["calls"][position])
        if found is None:
            return None
        chosen = choose([_recorded(found)], tools={found.call.target}, limit=1)
        return chosen.calls[0] if chosen.calls else None

    def verdict(self, run: Run) -> tuple[RunState, str, dict[str, Any]]:
        """Return how the replay ended."""
        return replay_verdict(run)


def replay_verdict(run: Run) -> tuple[RunState, str, dict[str, Any]]:
    """Return how a replay ended: it passes when nothing differs that nobody accepted."""
    summary = summary_of(run)
    failed = [item for item in run.results if item.outcome is Outcome.FAILED]
    broken = [item for item in run.results if item.outcome is Outcome.BROKEN]
    if failed:
        reason = f"{len(failed)} of {run.total} calls are answered differently. {failed[0].problem}"
        return RunState.FAILED, reason, summary
    if broken:
        return RunState.BROKEN, broken[0].problem, summary
    return RunState.PASSED, "", summary


def summary_of(run: Run) -> dict[str, Any]:
    """Return what a replay found, in numbers."""
    kinds: dict[str, int] = {}
    accepted = 0
    for item in run.results:
        for difference in item.differences:
            if difference.get("accepted"):
                accepted += 1
            else:
                kinds[difference["kind"]] = kinds.get(difference["kind"], 0) + 1
    return {
        "differences": kinds,
        "accepted": accepted,
        "left_out": run.plan.get("left_out", {}),
        "tools": run.plan.get("called", []),
        "recorded_of": run.plan.get("recorded_of"),
    }


def _recorded(item: FullInvocation) -> Recorded:
    return Recorded(
        id=item.call.id,
        tool=item.call.target,
        duration_ms=item.call.duration_ms,
        request_bytes=item.call.request_bytes,
        response_bytes=item.call.response_bytes,
        request=item.request,
        response=item.response,
    )


def _accepted(server_id: int, tool: str) -> set[tuple[str, str]]:
    return {
        (item.path, item.kind)
        for item in suite_store.accepted(server_id)
        if item.tool == tool
    }


def _compared(
    call: Call,
    called: Called,
    tolerance: compare.Tolerance,
    accepted: set[tuple[str, str]],
) -> list[dict[str, Any]]:
    if called.unavailable:
        return []
    before = compare.Measured(call.answer, call.duration_ms, call.size_bytes)
    after = compare.Measured(called.answer, called.duration_ms, called.size_bytes)
    found = compare.differences(before, after, tolerance)
    return compare.told(found, accepted)


def _hidden(item: Mapping[str, Any], hide: Hiding) -> dict[str, Any]:
    return {
        **item,
        "before": kept_problem(item["before"], hide),
        "after": kept_problem(item["after"], hide),
    }


def _sentence(found: list[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first['kind']} at {first['path']}: {first['before']} became {first['after']}{more}."


def _gone(position: int) -> Result:
    return Result(
        position=position,
        name=f"call {position + 1}",
        tool="",
        arguments={},
        outcome=Outcome.BROKEN,
        score=0.0,
        problem="The recorded call was removed meanwhile, so there is nothing to compare with.",
        answered="",
        duration_ms=0,
        size_bytes=0,
        at=now(),
    )
