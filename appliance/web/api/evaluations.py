"""/api/evaluations and /api/servers/{server}/evaluations: tests, suites, runs, replays and scores."""

from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.evaluations.acceptance import Pair
from appliance.evaluations.errors import (
    AcceptedNotFoundError,
    RunNotFoundError,
    SuiteNotFoundError,
    TestNotFoundError,
)
from appliance.evaluations.suites import MAX_TIMEOUT_S, RunKind
from appliance.web.api.evaluation_answers import (
    AcceptBody,
    AcceptedAnswer,
    AcceptedList,
    EvaluationRunAnswer,
    EvaluationRunBody,
    EvaluationRunPage,
    ReplayBody,
    ResultAnswer,
    ScoreAnswer,
    Scoreboard,
    SuiteAnswer,
    SuiteBody,
    SuiteList,
    TestAnswer,
    TestBody,
    TestList,
    TryBody,
    WholeEvaluationRunAnswer,
)
from appliance.web.api.marketplace import PlaceQuery
from appliance.web.keys import EVALUATIONS
from appliance.web.paging import one_page
from appliance.web.requests import move_time_limit, path_id, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("evaluations")
BASE = "/api/servers/{server}/evaluations"
_WRITES = (HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN)


class EvaluationRunQuery(PlaceQuery):
    """Which runs."""

    suite: int | None = Field(None, ge=1, le=2**63 - 1, description="Of this suite.")
    kind: RunKind | None = Field(None, description="Only suites, or only replays.")


# -- scores


@routes.get("/api/evaluations", summary="Show the scoreboard")
async def scoreboard(request: web.Request) -> Scoreboard:
    """The servers that you may see, by what their suites last said: the best first."""
    found = await request.app[EVALUATIONS].service.scoreboard(principal_of(request))
    return Scoreboard(items=[ScoreAnswer.of(item) for item in found])


@routes.get(BASE, summary="Show a server's score")
async def summary(request: web.Request) -> ScoreAnswer:
    """How good one server is: its place, and what each of its suites last said."""
    service = request.app[EVALUATIONS].service
    return ScoreAnswer.of(
        await service.summary(principal_of(request), server_of(request))
    )


# -- tests


@routes.get(BASE + "/tests", summary="List tests")
async def tests(request: web.Request) -> TestList:
    """A server's tests by name."""
    book = request.app[EVALUATIONS].book
    found = await book.tests(principal_of(request), server_of(request))
    return TestList(items=[TestAnswer.of(item) for item in found])


@routes.post(
    BASE + "/tests", summary="Add a test", status=HTTPStatus.CREATED, errors=_WRITES
)
async def add_test(request: web.Request, *, body: TestBody) -> TestAnswer:
    """A call of a tool, and what it should answer."""
    book = request.app[EVALUATIONS].book
    made = await book.put_test(principal_of(request), server_of(request), body.wanted())
    return TestAnswer.of(made)


@routes.put(BASE + "/tests/{test}", summary="Change a test", errors=_WRITES)
async def change_test(request: web.Request, *, body: TestBody) -> TestAnswer:
    """Put a test in place of one; what its runs found stays."""
    book = request.app[EVALUATIONS].book
    made = await book.put_test(
        principal_of(request), server_of(request), body.wanted(), test_of(request)
    )
    return TestAnswer.of(made)


@routes.delete(BASE + "/tests/{test}", summary="Remove a test", errors=_WRITES)
async def remove_test(request: web.Request) -> None:
    """Remove a test that no suite holds."""
    book = request.app[EVALUATIONS].book
    await book.remove_test(principal_of(request), server_of(request), test_of(request))


@routes.post(
    BASE + "/try",
    summary="Try a test",
    errors=(*_WRITES, HTTPStatus.SERVICE_UNAVAILABLE),
)
async def try_test(request: web.Request, *, body: TryBody) -> ResultAnswer:
    """Run a test once, without keeping it or what comes of it."""
    move_time_limit(request, MAX_TIMEOUT_S)
    book = request.app[EVALUATIONS].book
    found = await book.try_test(
        principal_of(request), server_of(request), body.wanted(), body.deployment
    )
    return ResultAnswer.of(found)


# -- suites


@routes.get(BASE + "/suites", summary="List suites")
async def suites(request: web.Request) -> SuiteList:
    """A server's suites by name."""
    book = request.app[EVALUATIONS].book
    found = await book.suites(principal_of(request), server_of(request))
    return SuiteList(items=[SuiteAnswer.of(item) for item in found])


@routes.post(
    BASE + "/suites", summary="Add a suite", status=HTTPStatus.CREATED, errors=_WRITES
)
async def add_suite(request: web.Request, *, body: SuiteBody) -> SuiteAnswer:
    """Tests that are run together; one that passes can certify the version."""
    book = request.app[EVALUATIONS].book
    made = await book.put_suite(
        principal_of(request), server_of(request), body.wanted()
    )
    return SuiteAnswer.of(made)


@routes.put(BASE + "/suites/{suite}", summary="Change a suite", errors=_WRITES)
async def change_suite(request: web.Request, *, body: SuiteBody) -> SuiteAnswer:
    """Put a suite in place of one; runs that go on are not changed by it."""
    book = request.app[EVALUATIONS].book
    made = await book.put_suite(
        principal_of(request), server_of(request), body.wanted(), suite_of(request)
    )
    return SuiteAnswer.of(made)


@routes.delete(BASE + "/suites/{suite}", summary="Remove a suite", errors=_WRITES)
async def remove_suite(request: web.Request) -> None:
    """Remove a suite; its tests, and what its runs found, stay."""
    book = request.app[EVALUATIONS].book
    await book.remove_suite(
        principal_of(request), server_of(request), suite_of(request)
    )


# -- runs


@routes.post(
    BASE + "/suites/{suite}/run",
    summary="Run a suite",
    status=HTTPStatus.ACCEPTED,
    errors=_WRITES,
)
async def run_suite(
    request: web.Request, *, body: EvaluationRunBody
) -> EvaluationRunAnswer:
    """Queue a run: of what is live, or of a deployment that is held, of which an instance is started for it alone."""
    service = request.app[EVALUATIONS].service
    made = await service.run_suite(
        principal_of(request), server_of(request), suite_of(request), body.deployment
    )
    return EvaluationRunAnswer.of(made)


@routes.post(
    BASE + "/replay",
    summary="Replay recorded calls",
    status=HTTPStatus.ACCEPTED,
    errors=_WRITES,
)
async def replay(request: web.Request, *, body: ReplayBody) -> EvaluationRunAnswer:
    """Make recorded calls again, and compare what is answered with what was."""
    service = request.app[EVALUATIONS].service
    made = await service.replay(
        principal_of(request), server_of(request), body.wanted(), body.deployment
    )
    return EvaluationRunAnswer.of(made)


@routes.get(BASE + "/runs", summary="List runs")
async def runs(request: web.Request, *, query: EvaluationRunQuery) -> EvaluationRunPage:
    """Runs of suites and replays, newest first."""
    found = await request.app[EVALUATIONS].service.runs(
        principal_of(request),
        server_of(request),
        suite_id=query.suite,
        kind=query.kind,
        before=query.before(),
        limit=query.limit + 1,
    )
    shown, last = one_page(found, query.limit)
    return EvaluationRunPage(
        items=[EvaluationRunAnswer.of(item) for item in shown],
        next_cursor=str(last.id) if last else None,
    )


@routes.get(BASE + "/runs/{run}", summary="Show a run")
async def run(request: web.Request) -> WholeEvaluationRunAnswer:
    """A run with what came of each of its calls."""
    service = request.app[EVALUATIONS].service
    found = await service.run(
        principal_of(request), server_of(request), run_of(request)
    )
    return WholeEvaluationRunAnswer.of(found)


@routes.post(BASE + "/runs/{run}/cancel", summary="Cancel a run", errors=_WRITES)
async def cancel(request: web.Request) -> EvaluationRunAnswer:
    """End a run that has not ended; what it found so far stays."""
    service = request.app[EVALUATIONS].service
    found = await service.cancel(
        principal_of(request), server_of(request), run_of(request)
    )
    return EvaluationRunAnswer.of(found)


# -- accepted differences


@routes.get(BASE + "/accepted", summary="List accepted differences")
async def accepted(request: web.Request) -> AcceptedList:
    """Differences that replays do not tell of any more."""
    service = request.app[EVALUATIONS].acceptance
    found = await service.all(principal_of(request), server_of(request))
    return AcceptedList(items=[AcceptedAnswer.of(item) for item in found])


@routes.post(BASE + "/runs/{run}/accept", summary="Accept differences", errors=_WRITES)
async def accept(request: web.Request, *, body: AcceptBody) -> WholeEvaluationRunAnswer:
    """Remember that a difference is meant: of this server, tool and place it is not told again."""
    is_all = not (body.tool or body.path or body.kind)
    found = await request.app[EVALUATIONS].acceptance.accept(
        principal_of(request),
        server_of(request),
        run_of(request),
        pair=None if is_all else Pair(body.tool, body.path, body.kind),
        reason=body.reason,
    )
    return WholeEvaluationRunAnswer.of(found)


@routes.delete(
    BASE + "/accepted/{accepted}", summary="Accept a difference no more", errors=_WRITES
)
async def take_back(request: web.Request) -> None:
    """Have replays tell of it again."""
    number = path_id(
        request, "accepted", "Nothing was accepted as {}.", AcceptedNotFoundError
    )
    await request.app[EVALUATIONS].acceptance.take_back(
        principal_of(request), server_of(request), number
    )


# -- what paths name


def test_of(request: web.Request) -> int:
    """Return the test that the path names.

    Raises:
        TestNotFoundError: It names none.
    """
    return path_id(request, "test", "There is no test {}.", TestNotFoundError)


def suite_of(request: web.Request) -> int:
    """Return the suite that the path names.

    Raises:
        SuiteNotFoundError: It names none.
    """
    return path_id(request, "suite", "There is no suite {}.", SuiteNotFoundError)


def run_of(request: web.Request) -> int:
    """Return the run that the path names.

    Raises:
        RunNotFoundError: It names none.
    """
    return path_id(request, "run", "There is no run {}.", RunNotFoundError)
