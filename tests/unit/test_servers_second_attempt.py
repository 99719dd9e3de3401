"""When a deployment that failed is followed by one as of its release: facts in, one source or nothing out."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from appliance.runtimes.model import LogLine
from appliance.servers import wording
from appliance.servers.model import Deployment, DeploymentState, ServerConfig
from appliance.servers.second_attempt import second_attempt, with_reason
from appliance.sources.model import Ecosystem, GitSource, PackageSource, Source

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SQLITE = PackageSource(Ecosystem.PYPI, "mcp-server-sqlite")
RESOLVED = {"version": "2025.4.25", "released": "2025-04-25T08:27:27+00:00"}
AS_OF = replace(SQLITE, version="2025.4.25", as_of=date(2025, 4, 26))
GONE = "AttributeError: 'Server' object has no attribute 'list_resources'"


def a_failed(source: Source = SQLITE, **resolved: Any) -> Deployment:
    return Deployment(
        id=30,
        server_id=1,
        number=3,
        state=DeploymentState.PENDING,
        reason="",
        source=source,
        config=ServerConfig(),
        image="sha256:1",
        resolved=RESOLVED | resolved,
        manifest=None,
        requested_by="ada@example.org",
        created_at=NOON,
        finished_at=None,
    )


def attempt(
    failed: Deployment, *printed: str, is_silent: bool = False
) -> PackageSource | None:
    lines = [LogLine(NOON, "stderr", text) for text in printed]
    return second_attempt(failed, lines, is_silent=is_silent)


@pytest.mark.parametrize(
    "printed",
    [
        GONE,
        "ImportError: cannot import name 'FastMCP' from 'mcp.server'",
        "ModuleNotFoundError: No module named 'mcp.server.fastmcp'",
        "TypeError: Server.__init__() got an unexpected keyword argument 'version'",
        "TypeError: run() takes 1 positional argument but 3 were given",
        "TypeError: server.setRequestHandler is not a function",
        "pydantic.errors.PydanticUserError: A non-annotated attribute was detected",
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /opt/mcp/server/x.js",
        "Error [ERR_PACKAGE_PATH_NOT_EXPORTED]: Package subpath './server/mcp' is not defined by \"exports\"",
        "SyntaxError: The requested module 'zod' does not provide an export named 'ZodError'",
        "Error: Cannot find module '@modelcontextprotocol/sdk/server'",
    ],
)
def test_what_was_written_against_other_dependencies_is_tried_as_of_its_release(
    printed: str,
) -> None:
    assert attempt(a_failed(), "Traceback", printed) == AS_OF


def test_a_server_that_stays_silent_is_tried_as_of_its_release() -> None:
    assert attempt(a_failed(), is_silent=True) == AS_OF


@pytest.mark.parametrize(
    "printed",
    [
        "Usage: server DIRECTORY",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        "ValueError: not a valid path",
        "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ],
)
def test_another_end_is_no_matter_of_dependencies(printed: str) -> None:
    assert attempt(a_failed(), printed) is None


def test_a_missing_setting_is_asked_for_instead() -> None:
    said = "ValueError: BRAVE_API_KEY must be set"

    assert attempt(a_failed(), said, is_silent=True) is None
    assert attempt(a_failed(), GONE, said) is None


def test_there_is_no_third_attempt() -> None:
    assert attempt(a_failed(AS_OF), GONE) is None


def test_what_was_kept_from_a_good_deployment_is_not_to_blame() -> None:
    assert attempt(a_failed(kept=True), GONE) is None


def test_a_release_of_today_has_the_newest_dependencies_already() -> None:
    assert attempt(a_failed(released="2026-11-20T23:00:00+00:00"), GONE) is None
    assert attempt(a_failed(released="2026-11-19T23:00:00+00:00"), GONE) is not None


@pytest.mark.parametrize(
    "resolved",
    [
        {"released": ""},
        {"released": "yesterday"},
        {"released": None},
        {"released": "0001-01-01T00:00:00-23:59"},
        {"version": "1.0; import os"},
        {"version": ""},
    ],
    ids=str,
)
def test_what_an_image_says_of_itself_is_not_believed(resolved: dict[str, Any]) -> None:
    assert attempt(a_failed(**resolved), GONE) is None


def test_only_packages_are_resolved() -> None:
    assert attempt(a_failed(GitSource("https://example.org/a.git")), GONE) is None


def test_the_second_deployment_tells_the_first_ones_reason_whole() -> None:
    why = wording.resolved_as_of(AS_OF, a_failed(), "It ended with exit code 1.")

    assert why == (
        "Resolved as of 2025-04-26, because deployment 3, with the newest dependencies of mcp-server-sqlite 2025.4.25,"
        " failed: It ended with exit code 1."
    )


def test_the_reason_goes_where_the_day_goes() -> None:
    second = replace(a_failed(AS_OF), reason="because")
    resolved = {"version": "1", "as_of": "2025-04-26"}

    first = with_reason(resolved, second, None)
    live = replace(second, resolved=first)
    kept = with_reason({**resolved, "kept": True}, a_failed(), live)

    assert first["as_of_because"] == kept["as_of_because"] == "because"
    assert "as_of_because" not in with_reason({"version": "1"}, a_failed(), live)
    assert "as_of_because" not in with_reason(resolved, a_failed(), live)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "It ended."),
        (("A_KEY",), "It needs the setting A_KEY. It ended."),
        (("A_KEY", "B_KEY"), "It needs the settings A_KEY and B_KEY. It ended."),
        (
            ("A_KEY", "B_KEY", "C_KEY"),
            "It needs the settings A_KEY, B_KEY and C_KEY. It ended.",
        ),
    ],
)
def test_a_reason_names_the_settings(names: tuple[str, ...], told: str) -> None:
    assert wording.needs_settings(names, "It ended.") == told
