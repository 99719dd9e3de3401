"""What the private cluster is told."""

from pathlib import Path

import pytest

from appliance.infra.connections import connection_arguments
from appliance.infra.postgres import database_url
from appliance.infra.postgres_config import (
    access_files,
    initdb_arguments,
    options,
    socket_url,
)
from appliance.settings import Settings

SOCKETS = Path("/run/app/postgres")
SECRET = "x" * 32


def test_the_cluster_listens_on_its_socket_alone() -> None:
    found = options(18, SOCKETS)

    assert found["listen_addresses"] == ""
    assert found["unix_socket_directories"] == str(SOCKETS)


@pytest.mark.parametrize("major", [15, 16, 17])
def test_only_18_knows_how_to_do_without_io_workers(major: int) -> None:
    assert "io_method" not in options(major, SOCKETS)
    assert options(18, SOCKETS)["io_method"] == "sync"


def test_what_a_caller_sets_wins() -> None:
    assert options(18, SOCKETS, {"max_connections": "7"})["max_connections"] == "7"


def test_text_sorts_by_code_point_on_every_version() -> None:
    assert "--builtin-locale=C.UTF-8" in initdb_arguments(17, Path("/d"))
    assert "--builtin-locale=C.UTF-8" not in initdb_arguments(16, Path("/d"))
    assert "--locale=C.UTF-8" in initdb_arguments(16, Path("/d"))


def test_only_the_named_users_are_let_in_and_no_name_can_add_a_line() -> None:
    found = access_files(["root", 'odd"name'])

    assert found["pg_hba.conf"] == "local all all peer map=appliance\n"
    assert found["pg_ident.conf"].splitlines() == [
        'appliance "root" mcp_host',
        'appliance "odd""name" mcp_host',
    ]


def test_a_socket_address_survives_odd_directories() -> None:
    url = socket_url(Path("/run/a b%/c?d&e"), "app")

    assert connection_arguments(url)["host"] == "/run/a b%/c?d&e"
    assert connection_arguments(url)["dbname"] == "app"


def test_a_database_url_wins_over_the_private_cluster() -> None:
    url = "postgresql://u:p@db/app"

    assert database_url(Settings(jwt_secret=SECRET, database_url=url)) == url
