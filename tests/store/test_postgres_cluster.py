"""The private cluster, made and broken for real."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import rmtree

import psycopg2
import pytest

from appliance.infra.directories import ForeignDirectoryError, own_directory
from appliance.infra.postgres import Cluster
from appliance.infra.postgres_binaries import PostgresUnavailableError, account, resolve

_INITIALISE = "import sys; from pathlib import Path; from appliance.infra.postgres import Cluster; "
_INITIALISE += "Cluster(Path(sys.argv[1]), Path(sys.argv[2])).initialise()"


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory short enough for a socket, that the cluster's user may pass through."""
    made = Path(tempfile.mkdtemp(prefix="pg-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    rmtree(made)


@pytest.fixture
def cluster(home: Path) -> Iterator[Cluster]:
    made = Cluster(home / "pg", home / "s")
    yield made
    made.stop()


def _ask(cluster: Cluster, sql: str) -> object:
    with closing(psycopg2.connect(cluster.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]


def test_what_was_committed_survives_a_kill(cluster: Cluster) -> None:
    cluster.initialise()
    cluster.start()
    _ask(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert cluster._process is not None
    cluster._process.send_signal(signal.SIGKILL)
    cluster._process.wait()

    cluster.initialise()
    cluster.start()

    assert _ask(cluster, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.35])
def test_a_kill_in_the_middle_of_the_first_start_leaves_nothing_half_made(
    cluster: Cluster, after_s: float
) -> None:
    arguments: list[str | Path] = [
        sys.executable,
        "-c",
        _INITIALISE,
        cluster.home,
        cluster.socket_dir,
    ]
    child = subprocess.Popen(arguments, start_new_session=True)
    deadline = time.monotonic() + 10
    while not list(cluster.home.glob(".new-*")) and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(after_s)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()

    cluster.initialise()
    cluster.start()

    assert _ask(cluster, "SELECT 1") == 1
    assert list(cluster.home.glob(".new-*")) == []


def test_two_that_initialise_at_once_make_one_cluster(cluster: Cluster) -> None:
    arguments: list[str | Path] = [
        sys.executable,
        "-c",
        _INITIALISE,
        cluster.home,
        cluster.socket_dir,
    ]
    children = [subprocess.Popen(arguments) for _ in range(3)]

    codes = [child.wait() for child in children]

    assert codes == [0, 0, 0]
    cluster.initialise()
    cluster.start()
    assert _ask(cluster, "SELECT 1") == 1


def test_a_lock_file_that_names_another_program_does_not_stop_the_start(
    cluster: Cluster,
) -> None:
    cluster.initialise()
    lock = cluster.data / "postmaster.pid"
    lock.write_text(
        f"{os.getpid()}\n{cluster.data}\n1\n5432\n{cluster.socket_dir}\n\n\n"
    )

    cluster.initialise()
    cluster.start()

    assert _ask(cluster, "SELECT 1") == 1


def test_a_lock_file_of_a_running_postgres_is_respected(cluster: Cluster) -> None:
    cluster.initialise()
    cluster.start()

    Cluster(cluster.home, cluster.socket_dir).initialise()

    assert (cluster.data / "postmaster.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_of_the_box_is_turned_away(cluster: Cluster) -> None:
    cluster.initialise()
    cluster.start()
    # Root's Python may be out of the stranger's reach, so it changes after it has loaded.
    become = (
        "import os, psycopg2; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
    )
    program = f"{become} psycopg2.connect({cluster.url()!r})"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "Peer authentication failed" in done.stderr


def test_the_database_is_unicode_and_sorts_by_code_point(cluster: Cluster) -> None:
    cluster.initialise()
    cluster.start()

    assert _ask(cluster, "SHOW server_encoding") == "UTF8"
    assert _ask(cluster, "SELECT 'Z' < 'a' AND 'a' < 'é'") is True


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO secrets VALUES ('hunter2')",  # meets the row that is there
        "SELECT 'hunter2'::int",
        "SELECT 'hunter2' FROM nowhere",
    ],
)
def test_a_failing_statement_leaves_no_value_in_the_log(
    cluster: Cluster, statement: str
) -> None:
    cluster.initialise()
    cluster.start()
    _ask(cluster, "CREATE TABLE secrets (value text PRIMARY KEY)")
    _ask(cluster, "INSERT INTO secrets VALUES ('hunter2')")

    with pytest.raises(psycopg2.Error):
        _ask(cluster, statement)

    log = (cluster.home / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "hunter2" not in log


def test_a_socket_directory_that_is_too_long_is_refused_with_the_setting_to_change(
    home: Path,
) -> None:
    with pytest.raises(PostgresUnavailableError) as caught:
        Cluster(home / "pg", home / ("x" * 90)).initialise()

    assert "RUN_DIR" in caught.value.reason


def test_files_of_an_unknown_version_are_left_alone_and_told(home: Path) -> None:
    data = home / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")

    with pytest.raises(PostgresUnavailableError) as caught:
        resolve(account(), home)

    assert "Postgres 9" in caught.value.reason


def test_a_link_in_place_of_our_directory_is_refused(home: Path) -> None:
    (home / "theirs").mkdir()
    (home / "ours").symlink_to(home / "theirs")

    with pytest.raises(ForeignDirectoryError):
        own_directory(home / "ours", mode=0o700)
