"""Errors to HTTP: one mapping, and nothing of a fault's text gets out."""

from http import HTTPStatus

import pytest
from aiohttp import web

from appliance.core.errors import (
    ConflictError,
    DomainError,
    FailedError,
    ForbiddenError,
    InvalidError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from appliance.web.problems import (
    MalformedError,
    problem_of,
    problem_of_fault,
    problem_of_http,
    status_of,
)


class _SpecialConflictError(ConflictError):
    """A subclass, as every domain has them."""

    code = "special_conflict"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (ConflictError("x"), 409),
        (InvalidError("x"), 422),
        (MalformedError("x"), 400),
        (UnauthenticatedError("x"), 401),
        (ForbiddenError("x"), 403),
        (LimitedError("x", retry_after_s=7), 429),
        (UnavailableError("x"), 503),
        (FailedError("x"), 502),
        (_SpecialConflictError("x"), 409),
    ],
)
def test_every_branch_has_its_status(error: DomainError, status: int) -> None:
    assert problem_of(error, "r").status == status


def test_an_error_outside_the_branches_is_refused() -> None:
    with pytest.raises(LookupError, match="no branch"):
        status_of(DomainError)


def test_a_problem_names_fields_hint_and_request() -> None:
    error = InvalidError(
        "Some fields are not right.", fields={"name": "is required"}, hint="Give one."
    )

    assert problem_of(error, "abc").as_json() == {
        "type": "urn:mcp-host:problem:invalid",
        "title": "Unprocessable Content",
        "status": 422,
        "code": "invalid",
        "detail": "Some fields are not right.",
        "request_id": "abc",
        "hint": "Give one.",
        "errors": [{"field": "name", "message": "is required"}],
    }


def test_a_failure_carries_its_last_output() -> None:
    assert problem_of(FailedError("x", output=("a", "b")), "r").as_json()["output"] == [
        "a",
        "b",
    ]


def test_a_limit_says_when_to_come_back() -> None:
    assert (
        problem_of(LimitedError("x", retry_after_s=7), "r").headers()["Retry-After"]
        == "7"
    )


def test_unauthenticated_asks_for_a_bearer_key() -> None:
    assert (
        problem_of(UnauthenticatedError("x"), "r")
        .headers()["WWW-Authenticate"]
        .startswith("Bearer")
    )


def test_a_fault_tells_its_request_id_alone() -> None:
    found = problem_of_fault("abc").as_json()

    assert found["status"] == 500
    assert found["code"] == "internal"
    assert found["request_id"] == "abc"


def test_a_wrong_method_names_the_right_ones() -> None:
    problem = problem_of_http(web.HTTPMethodNotAllowed("PATCH", {"GET", "POST"}), "r")

    assert problem.status is HTTPStatus.METHOD_NOT_ALLOWED
    assert problem.headers()["Allow"] == "GET, POST"
