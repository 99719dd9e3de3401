"""Evaluations: the scoreboard, the tab of one server, the pages of a run, a test and a suite."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from appliance.accounts.model import Principal
from appliance.evaluations.acceptance import found_in
from appliance.evaluations.model import Certification, Standing
from appliance.evaluations.scores import ServerScore, SuiteScore
from appliance.evaluations.suites import Suite, Test
from appliance.web import words
from appliance.web.api.evaluations import run_of
from appliance.web.evaluation_form import KINDS, values_of_suite, values_of_test
from appliance.web.keys import CERTIFICATIONS, EVALUATIONS, SERVERS
from appliance.web.pages.servers import frame_of
from appliance.web.render import page
from appliance.web.requests import principal_of, row_id, server_of

routes = web.RouteTableDef()
BOARD = "pages/evaluations/scoreboard.html"
TAB = "pages/servers/evaluations.html"
RUN = "pages/servers/evaluation_run.html"
TEST = "pages/servers/evaluation_test.html"
SUITE = "pages/servers/evaluation_suite.html"
SHOWN_RUNS = 20
#: Charts that the scoreboard draws.
SHOWN_TRENDS = 12


@dataclass(frozen=True)
class Trend:
    """Scores of one suite over time, as the browser draws them."""

    id: int
    title: str
    #: ``[[seconds, …], [percent, …]]``
    points: str


@routes.get("/evaluations")
async def scoreboard(request: web.Request) -> web.Response:
    """Show how good servers are."""
    found = await request.app[EVALUATIONS].service.scoreboard(principal_of(request))
    trends = [
        _trend(suite, f"{item.server_name}, {suite.name}")
        for item in found
        for suite in item.suites
        if len(suite.trend) > 1
    ]
    context = {"scores": found, "trends": trends[:SHOWN_TRENDS]}
    return page(request, BOARD, context)


@routes.get("/servers/{server}/evaluations")
async def tab(request: web.Request) -> web.Response:
    """Show one server's score, suites, runs, tests and certifications."""
    return page(request, TAB, await tab_context(request))


async def tab_context(request: web.Request) -> dict[str, Any]:
    """Return what the tab shows."""
    principal, server = principal_of(request), server_of(request)
    frame = await frame_of(request, "evaluations")
    room = request.app[EVALUATIONS]
    score = await room.service.summary(principal, server)
    runs = await room.service.runs(principal, server, limit=SHOWN_RUNS)
    return {
        **frame,
        "path": f"{words.server_path(frame['view'].server)}/evaluations",
        "score": score,
        "suites": await room.book.suites(principal, server),
        "lasts": {item.suite_id: item.last for item in score.suites},
        "runs": runs,
        "tests": await room.book.tests(principal, server),
        "trends": trends_of(score),
        "accepted": await room.acceptance.all(principal, server),
        "certifications": await certifications_of(request, principal, server),
        "values": {},
        "errors": {},
        "problem": None,
    }


async def certifications_of(
    request: web.Request, principal: Principal, server: int | str
) -> list[tuple[Certification, Standing]]:
    """Return what is certified of a server, each with what it is worth now."""
    service = request.app[CERTIFICATIONS]
    return await worth(request, await service.of_server(principal, server))


async def worth(
    request: web.Request, found: list[Certification]
) -> list[tuple[Certification, Standing]]:
    """Return certifications with what they are worth now."""
    _, standings = await request.app[CERTIFICATIONS].standings(found)
    return list(zip(found, standings, strict=True))


def trends_of(score: ServerScore) -> list[Trend]:
    """Return the charts of a server's suites; of one run there is nothing to draw."""
    return [_trend(item, item.name) for item in score.suites if len(item.trend) > 1]


def _trend(suite: SuiteScore, title: str) -> Trend:
    ended = [run for run in suite.trend if run.finished_at]
    moments = [round(run.finished_at.timestamp()) for run in ended if run.finished_at]
    points = [moments, [round(100 * run.score, 1) for run in ended]]
    return Trend(suite.suite_id, title, json.dumps(points))


@routes.get("/servers/{server}/evaluations/runs/{run:[0-9]{1,18}}")
async def run(request: web.Request) -> web.Response:
    """Show one run, live while it goes on."""
    return page(request, RUN, await run_context(request, run_of(request)))


async def live_run_context(request: web.Request) -> dict[str, Any]:
    """Return what a run's stream shows; its number is in the query."""
    return await run_context(request, row_id(request.query.get("run", "")) or 0)


async def run_context(request: web.Request, run_id: int) -> dict[str, Any]:
    """Return what the page of one run shows."""
    frame = await frame_of(request, "evaluation-run")
    found = await request.app[EVALUATIONS].service.run(
        principal_of(request), server_of(request), run_id
    )
    return {
        **frame,
        "path": f"{words.server_path(frame['view'].server)}/evaluations",
        "live_url": f"{frame['live_url']}?run={run_id}",
        "run": found,
        "has_open": bool(found_in(found)),
        "as_json": _as_json,
        "problem": None,
    }


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@routes.get("/servers/{server}/evaluations/test")
async def test(request: web.Request) -> web.Response:
    """Show the form of a test."""
    return page(request, TEST, await test_context(request))


async def test_context(request: web.Request) -> dict[str, Any]:
    """Return what the form of a test shows."""
    frame, tests = await _frame_and_tests(request)
    number = row_id(request.query.get("id", ""))
    edited = next((item for item in tests if item.id == number), None)
    return {
        **frame,
        "edited": edited,
        "tool_names": await _tool_names(request),
        "kinds": KINDS,
        "values": values_of_test(edited),
        "errors": {},
        "problem": None,
        "result": None,
        "try_problem": None,
    }


@routes.get("/servers/{server}/evaluations/suite")
async def suite(request: web.Request) -> web.Response:
    """Show the form of a suite."""
    return page(request, SUITE, await suite_context(request))


async def suite_context(request: web.Request) -> dict[str, Any]:
    """Return what the form of a suite shows."""
    frame, tests = await _frame_and_tests(request)
    suites: Sequence[Suite] = await request.app[EVALUATIONS].book.suites(
        principal_of(request), server_of(request)
    )
    number = row_id(request.query.get("id", ""))
    edited = next((item for item in suites if item.id == number), None)
    return {
        **frame,
        "edited": edited,
        "tests": tests,
        "test_names": [item.wanted.name for item in tests],
        "values": values_of_suite(edited, tests),
        "errors": {},
        "problem": None,
    }


async def _frame_and_tests(
    request: web.Request,
) -> tuple[dict[str, Any], list[Test]]:
    frame = await frame_of(request, "evaluations")
    # The stream of the tab would put its own parts into this page.
    live = f"/live{words.server_path(frame['view'].server)}/connect"
    path = f"{words.server_path(frame['view'].server)}/evaluations"
    tests = await request.app[EVALUATIONS].book.tests(
        principal_of(request), server_of(request)
    )
    return {**frame, "live_url": live, "path": path}, tests


async def _tool_names(request: web.Request) -> list[str]:
    view = await request.app[SERVERS].get(principal_of(request), server_of(request))
    manifest = (view.live.manifest if view.live else None) or {}
    return [str(tool.get("name", "")) for tool in manifest.get("tools") or ()]
