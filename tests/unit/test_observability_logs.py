"""Logs: one JSON line an event, with its ids and without secrets."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from structlog.contextvars import bound_contextvars

from appliance.observability import logs
from appliance.observability.redaction import is_secret_name, redact, redact_text

ROOT = Path(__file__).parent.parent.parent


class Output(io.BytesIO):
    """What was written, line by line."""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def output() -> Iterator[Output]:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    written = Output()
    logs.configure("info", "json", stream=written)
    yield written
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.captureWarnings(capture=False)


def test_a_line_has_its_time_level_target_event_and_fields(output: Output) -> None:
    structlog.get_logger("servers.reconcile").info("server.running", server_id=7)

    (line,) = output.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "server.running",
        "level": "info",
        "server_id": 7,
        "target": "servers.reconcile",
    }


def test_what_is_bound_to_the_request_is_on_every_line_below_it(output: Output) -> None:
    log = structlog.get_logger("x")
    with bound_contextvars(request_id="r1", job_id=3):
        log.info("inside")
    log.info("outside")

    inside, outside = output.lines()
    assert (inside["request_id"], inside["job_id"]) == ("r1", 3)
    assert "request_id" not in outside


def test_lines_below_the_level_are_not_written(output: Output) -> None:
    structlog.get_logger("x").debug("too.quiet")
    logging.getLogger("x").debug("too quiet")

    assert output.lines() == []


def test_a_traceback_is_text_without_local_variables(output: Output) -> None:
    password = "hunter22hunter22"
    try:
        raise LookupError("nothing there")  # noqa: TRY301 - it must be raised to have a traceback
    except LookupError:
        structlog.get_logger("x").exception("it.broke")

    (line,) = output.lines()
    assert line["level"] == "error"
    assert line["exception"].endswith("LookupError: nothing there")
    assert password not in line["exception"].replace(f'password = "{password}"', "")


def test_the_standard_library_s_lines_look_the_same(output: Output) -> None:
    logging.getLogger("aiohttp.server").error("cannot %s", "bind")
    logging.getLogger("aiohttp.access").info("GET /")

    (line,) = output.lines()
    assert (line["target"], line["event"]) == ("aiohttp.server", "cannot bind")
    assert (line["level"], set(line)) == (
        "error",
        {"event", "level", "target", "timestamp"},
    )


def test_secrets_are_hidden_by_name_by_type_and_by_look(output: Output) -> None:
    structlog.get_logger("x").info(
        "x",
        password="hunter22",
        nested={"api_key": "k", "list": [{"token": "t"}]},
        wrapped=SecretStr("s3cr3t"),
        text="sent Authorization: Bearer abcdef123456 to postgres://app:pa55@db/x",
        key_of_ours="mcph_" + "a" * 43,
        said="the link mcpv_" + "b" * 43 + " was used",
    )

    (line,) = output.lines()
    assert line["password"] == "[redacted]"
    assert line["nested"] == {
        "api_key": "[redacted]",
        "list": [{"token": "[redacted]"}],
    }
    assert line["wrapped"] == "[redacted]"
    assert line["text"] == (
        "sent Authorization: Bearer [redacted] to postgres://app:[redacted]@db/x"
    )
    assert line["key_of_ours"] == "mcph_[redacted]"
    assert line["said"] == "the link mcpv_[redacted] was used"


@pytest.mark.parametrize(
    "name",
    ["password", "PGPASSWORD", "x-api-key", "apikey", "session_cookie", "JWT_SECRET"],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["server_id", "key_prefix", "tokens", "path", "monkey"]
)
def test_other_names_are_left_alone(name: str) -> None:
    assert not is_secret_name(name)


def test_a_structure_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop

    assert "…" in str(redact(loop))


def test_ordinary_text_stays_as_it_is() -> None:
    text = "mcp_host 1.0 at http://example.org:80/a@b said: basic auth is off"

    assert redact_text(text) == text


def test_console_lines_are_for_people() -> None:
    code = (
        "import structlog; from appliance.observability import logs;"
        "logs.configure('debug', 'console'); structlog.get_logger('x').debug('hello', n=1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "hello" in done.stdout
    assert "n=1" in done.stdout
    assert "\x1b" not in done.stdout
