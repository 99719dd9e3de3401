"""mcpctl's own parts: streams, configuration, output."""

import json
import stat
from pathlib import Path

import pytest
from mcpctl import config, output
from mcpctl.client import Client, _events, path_of
from mcpctl.errors import ApiError, CommandError


def test_a_stream_is_read_event_by_event() -> None:
    lines = [
        "retry: 2000",
        "",
        ": still here",
        "",
        "id: 7",
        "event: line",
        "data: a",
        "data: b",
        "",
        "data: {}",
        "",
    ]

    found = list(_events(iter(lines)))

    assert [(item.id, item.kind, item.data) for item in found] == [
        ("7", "line", "a\nb"),
        ("", "message", "{}"),
    ]


def test_an_event_without_its_blank_line_is_not_taken() -> None:
    assert list(_events(iter(["data: half"]))) == []


def test_path_parts_are_escaped() -> None:
    assert path_of("servers", "a/../b", 3) == "/api/servers/a%2F..%2Fb/3"


@pytest.mark.parametrize("url", ["", "ftp://x", "localhost:3000", "file:///etc/passwd"])
def test_only_web_addresses_are_hubs(url: str) -> None:
    with pytest.raises(CommandError, match="not the address of a hub"):
        Client(url)


@pytest.fixture
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MCPCTL_URL", raising=False)
    monkeypatch.delenv("MCPCTL_API_KEY", raising=False)
    return tmp_path


@pytest.mark.usefixtures("_home")
def test_the_key_file_is_for_its_owner_alone() -> None:
    path = config.save(config.Config("https://hub", "mcph_k", 3))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config.load() == config.Config("https://hub", "mcph_k", 3)


@pytest.mark.usefixtures("_home")
def test_a_stored_key_is_not_shown_to_another_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.save(config.Config("https://hub", "mcph_k", 3))
    monkeypatch.setenv("MCPCTL_URL", "https://other")

    assert config.load() == config.Config("https://other", "", None)


@pytest.mark.usefixtures("_home")
def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config.save(config.Config("https://hub", "mcph_k", 3))
    monkeypatch.setenv("MCPCTL_API_KEY", "mcph_other")

    assert config.load() == config.Config("https://hub", "mcph_other", None)


@pytest.mark.usefixtures("_home")
def test_a_broken_key_file_says_so() -> None:
    config.config_path().parent.mkdir(parents=True)
    config.config_path().write_text("{")

    with pytest.raises(CommandError, match="cannot be read"):
        config.load()


def test_a_refusal_is_told_with_fields_output_hint_and_request() -> None:
    problem = {
        "detail": "No.",
        "hint": "Do this.",
        "errors": [{"field": "name", "message": "is taken"}],
        "output": ["last"],
        "request_id": "abc",
    }

    assert ApiError(422, problem).lines() == [
        "error: No.",
        "  name: is taken",
        "  | last",
        "hint: Do this.",
        "request id: abc",
    ]


def test_foreign_text_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("name",), [("a\x1b[2Jb\nc",)], empty="none")

    assert "\x1b" not in capsys.readouterr().out
    assert output.printable_lines("x\x1b[31my\nz") == ["x�[31my", "z"]


def test_an_empty_table_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name",), [], empty="Nothing yet.")

    assert capsys.readouterr().out == "Nothing yet.\n"


def test_colours_stay_out_of_pipes() -> None:
    assert output.state("running") == "running"


def test_json_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({"name": "ü"})

    assert json.loads(capsys.readouterr().out) == {"name": "ü"}
