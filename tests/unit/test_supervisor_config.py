"""What supervisord is told."""

import configparser
import shlex
from pathlib import Path

import pytest

from appliance.core.errors import InvalidError
from appliance.infra.supervisor import programs
from appliance.infra.supervisor_config import Layout, Program, render
from appliance.settings import Settings

SECRET = "x" * 32


def _layout(directory: str = "/srv/app") -> Layout:
    return Layout(Path(directory), Path("/data/log"), Path("/run/app"))


def _parsed(text: str) -> configparser.RawConfigParser:
    """Read it as supervisord does."""
    parser = configparser.RawConfigParser(
        inline_comment_prefixes=(";", "#"), strict=False
    )
    parser.read_string(text)
    return parser


def test_a_program_is_kept_running_and_stopped_by_its_own_signal() -> None:
    program = Program("hub", ["/opt/my python", "-m", "appliance"], "TERM", 15)

    found = _parsed(render(_layout(), [program]))["program:hub"]

    assert shlex.split(found["command"]) == ["/opt/my python", "-m", "appliance"]
    assert found["autorestart"] == "true"
    assert found["stopsignal"] == "TERM"
    assert found["stopwaitsecs"] == "15"
    assert found["stdout_logfile"] == "/data/log/hub.log"


def test_percent_signs_of_a_path_do_not_expand() -> None:
    found = _parsed(render(_layout("/srv/100%(here)s"), []))

    assert found["supervisord"]["directory"] % {"here": "wrong"} == "/srv/100%(here)s"


@pytest.mark.parametrize("directory", ["/srv/a ;b", "/srv/a #b", "/srv/a\n[program:x]"])
def test_a_path_that_the_file_cannot_say_is_refused(directory: str) -> None:
    with pytest.raises(InvalidError):
        render(_layout(directory), [])


def test_every_program_allocates_from_one_heap() -> None:
    found = _parsed(render(_layout(), []))

    assert found["supervisord"]["environment"] == 'MALLOC_ARENA_MAX="1"'


def test_programs_start_in_the_order_given() -> None:
    listed = [
        Program(name, ["x"], "TERM", 1) for name in ("postgres", "gateway", "hub")
    ]

    found = _parsed(render(_layout(), listed))

    order = [int(found[f"program:{program.name}"]["priority"]) for program in listed]
    assert order == sorted(order)


def test_postgres_and_gateway_start_only_where_they_are_ours() -> None:
    own = Settings(jwt_secret=SECRET)
    foreign = Settings(
        jwt_secret=SECRET,
        database_url="postgresql://db/x",
        gateway_skip_start=True,
        egress_skip_start=True,
    )

    names = [program.name for program in programs(own)]
    assert names == ["postgres", "gateway", "egress", "hub"]
    assert [program.name for program in programs(foreign)] == ["hub"]


def test_each_program_has_longer_to_stop_than_it_gives_its_work() -> None:
    settings = Settings(
        jwt_secret=SECRET, gw_graceful_timeout=40, hub_graceful_timeout=20
    )

    waits = {program.name: program.stop_wait_s for program in programs(settings)}

    assert waits["gateway"] > 40
    assert waits["hub"] > 20


def test_supervisord_carries_the_watch_with_its_patience() -> None:
    found = _parsed(render(_layout(), [], patience_s=12))["rpcinterface:watch"]

    assert found["supervisor.rpcinterface_factory"] == "appliance.infra.supervisor_watch:make"  # fmt: skip
    assert (found["run_dir"], found["patience_s"]) == ("/run/app", "12")
