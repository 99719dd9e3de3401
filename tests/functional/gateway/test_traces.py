"""Calls become rows, each once, whoever is killed or away in between."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import msgspec
import psycopg2
import pytest

from appliance.gateway.counters import Counter, Counters
from appliance.gateway.traces import scribe as module
from appliance.gateway.traces.scribe import Scribe
from appliance.gateway.traces.spool import SUFFIX, Spool
from appliance.infra import migrations
from appliance.infra.connections import connect, connection_arguments
from tests.cluster import ThrowAwayCluster, throw_away_cluster
from tests.fakes.mcp_box import ROOT, Box, tool_call, wait_until
from tests.fakes.trace_processes import SERVER_ID, invocation

PLENTY = 256 * 1024 * 1024


class Traces:
    """A spool, what writes it and what reads it."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self.database_url = database_url
        self.processes: list[subprocess.Popen[bytes]] = []

    def spawn(self, role: str, *arguments: object) -> "subprocess.Popen[bytes]":
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.trace_processes", role]
            + [str(item) for item in (self.directory, *arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE if role == "producer" else None,
        )
        self.processes.append(started)
        return started

    def produce(
        self, rows: int, *, rate: float = 2000, limit: int = PLENTY
    ) -> "subprocess.Popen[bytes]":
        return self.spawn("producer", limit, rate, rows)

    def scribe(self) -> "subprocess.Popen[bytes]":
        return self.spawn("scribe", self.database_url)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with (
            closing(psycopg2.connect(self.database_url)) as connection,
            connection,  # commits
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return cursor.fetchall()

    def numbers(self) -> list[int]:
        """Which rows there are, in order."""
        rows = self.query("SELECT target FROM invocations")
        return sorted(int(row[0].removeprefix("tool-")) for row in rows)

    def segments(self) -> list[Path]:
        return sorted(self.directory.glob(f"*{SUFFIX}"))


@pytest.fixture
def traces(tmp_path: Path, database_url: str) -> Iterator[Traces]:
    made = Traces(tmp_path / "traces", database_url)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def lines_of(producer: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert producer.stdout is not None
    return producer.stdout


def dropped_when_idle(producer: "subprocess.Popen[bytes]") -> int:
    """Wait until the producer has no more to tell, and return how many rows its spool had no room for."""
    for line in lines_of(producer):
        if line.startswith(b"idle"):
            return int(line.split()[1])
    raise AssertionError("the producer ended")


def test_a_row_is_in_the_database_within_half_a_second(traces: Traces) -> None:
    traces.scribe()
    wait_until((traces.directory / "scribe.lock").exists, "the scribe runs")
    time.sleep(1)  # it is idle, and looks less often
    producer = traces.produce(1)

    lines_of(producer).readline()
    told = time.monotonic()
    while traces.numbers() != [0]:
        assert time.monotonic() - told < 0.5
        time.sleep(0.02)


def test_a_killed_worker_loses_what_is_younger_than_50_ms_at_most(
    traces: Traces,
) -> None:
    for start in range(5):
        producer = traces.produce(1_000_000, rate=3000)
        seen: list[tuple[float, int]] = []
        lines = lines_of(producer)
        lines.readline()  # it runs
        until = time.monotonic() + 0.4 + 0.013 * start
        for line in lines:
            seen.append((time.monotonic(), int(line)))
            if time.monotonic() > until:
                break
        killed = time.monotonic()
        producer.kill()
        producer.wait()
        owed = [number for at, number in seen if at < killed - 0.05]

        traces.scribe()
        wait_until(lambda: not traces.segments(), "all is copied")
        traces.processes[-1].terminate()
        traces.processes[-1].wait()

        kept = traces.numbers()
        assert len(owed) > 100
        assert kept == list(range(len(kept)))
        assert kept[-1] >= owed[-1]
        traces.query("DELETE FROM invocations RETURNING id")


def test_a_stop_loses_nothing(traces: Traces) -> None:
    scribe = traces.scribe()
    producer = traces.produce(1_000_000, rate=5000)
    numbers = []
    for line in lines_of(producer):
        numbers.append(int(line))
        if len(numbers) == 2000:
            producer.terminate()  # in the middle of a batch
    producer.wait()
    scribe.terminate()

    assert scribe.wait(10) == 0
    assert traces.numbers() == numbers
    assert traces.segments() == []


def test_a_scribe_killed_again_and_again_copies_every_row_once(traces: Traces) -> None:
    producer = traces.produce(12_000, rate=4000)
    life_s = 0.35
    for _ in range(12):
        scribe = traces.scribe()
        time.sleep(life_s)
        scribe.kill()
        scribe.wait()
        # On a busy box it takes longer until one has copied anything.
        life_s += 0.017 if traces.numbers() else 0.35
    assert dropped_when_idle(producer) == 0
    some = len(traces.numbers())

    traces.scribe()
    wait_until(lambda: len(traces.numbers()) >= 12_000, "all is copied", within_s=60.0)

    assert some > 0
    assert traces.numbers() == list(range(12_000))


def test_a_database_that_is_away_loses_nothing(
    traces: Traces, breakable: ThrowAwayCluster
) -> None:
    traces.database_url = breakable.url()
    producer = traces.produce(6_000, rate=1000)
    scribe = traces.scribe()
    wait_until(lambda: bool(traces.numbers()), "rows come")

    breakable.kill()
    time.sleep(4)
    breakable.start()

    assert dropped_when_idle(producer) == 0
    wait_until(lambda: len(traces.numbers()) >= 6_000, "all is copied")
    assert traces.numbers() == list(range(6_000))
    for process in (producer, scribe):
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def breakable() -> Iterator[ThrowAwayCluster]:
    """A migrated cluster of the test's own, to be killed."""
    with throw_away_cluster() as cluster:
        with closing(connect(connection_arguments(cluster.url()))) as connection:
            migrations.migrate(connection, ROOT / "migrations")
        yield cluster


def test_a_scribe_waits_for_the_schema(traces: Traces, empty_database_url: str) -> None:
    traces.database_url = empty_database_url
    traces.scribe()
    dropped_when_idle(traces.produce(10))
    time.sleep(0.5)
    with closing(connect(connection_arguments(empty_database_url))) as connection:
        migrations.migrate(connection, ROOT / "migrations")

    wait_until(lambda: len(traces.numbers()) == 10, "all is copied")


def test_a_full_spool_drops_what_is_new_and_counts_it(traces: Traces) -> None:
    limit = 128 * 1024
    producer = traces.produce(3000, rate=20_000, limit=limit)

    dropped = dropped_when_idle(producer)

    assert dropped > 0
    assert sum(path.stat().st_size for path in traces.segments()) <= limit
    traces.scribe()
    wait_until(lambda: len(traces.numbers()) == 3000 - dropped, "the rest is copied")
    assert traces.numbers()[:1000] == list(range(1000))


def test_half_a_batch_hides_nothing_that_other_segments_hold(traces: Traces) -> None:
    first = traces.produce(500)
    dropped_when_idle(first)
    first.kill()
    first.wait()
    torn = traces.segments()[0]
    with torn.open("r+b") as file:
        file.truncate(torn.stat().st_size - 5)
    dropped_when_idle(traces.produce(3))

    traces.scribe()

    wait_until(lambda: not torn.exists(), "the torn segment is done with")
    assert set(traces.numbers()) >= set(range(300))


def test_what_waits_is_for_its_owner_alone(traces: Traces) -> None:
    dropped_when_idle(traces.produce(1))

    assert traces.directory.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in traces.segments()] == [0o600]


def test_rows_are_as_they_were_seen_but_for_secrets(
    traces: Traces,
) -> None:
    dropped_when_idle(traces.produce(1))
    traces.scribe()
    wait_until(lambda: bool(traces.numbers()), "it is copied")

    row = traces.query(
        "SELECT server_id, bundle_id, deployment_id, principal, method, http_status, error_class, rpc_code,"
        " duration_ms, request_bytes, response_bytes, request, response FROM invocations"
    )

    assert row == [
        (SERVER_ID, None, 3, "user:5", "tools/call", 200, "", None, 1.0, 100, 200,
         '{"method":"tools/call"}', '{"result":{}}')
    ]  # fmt: skip


def test_a_row_that_postgres_refuses_holds_up_no_other(traces: Traces) -> None:
    rows = [invocation(number) for number in range(3)]
    rows[1] = invocation(1, http_status=2**40)
    spool = Spool(traces.directory, PLENTY)
    spool.append(msgspec.msgpack.encode(rows))
    spool.close()
    counters = Counters(1)
    database = connection_arguments(traces.database_url)
    scribe = Scribe(traces.directory, database, counters.row(0))

    scribe.drain()

    assert traces.numbers() == [0, 2]
    assert counters.total()[Counter.TRACES_DROPPED] == 1
    assert traces.segments() == []


def test_what_cannot_be_read_holds_up_nothing(traces: Traces) -> None:
    spool = Spool(traces.directory, PLENTY)
    spool.append(b"of another version")
    spool.append(msgspec.msgpack.encode([invocation(1)]))
    spool.close()
    database = connection_arguments(traces.database_url)
    scribe = Scribe(traces.directory, database, Counters(1).row(0))

    scribe.drain()

    assert traces.numbers() == [1]


def test_a_scribe_at_rest_holds_no_connection_and_copies_what_comes_next(
    traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(traces.directory, PLENTY)
    database = connection_arguments(traces.database_url)
    scribe = Scribe(traces.directory, database, Counters(1).row(0))
    spool.append(msgspec.msgpack.encode([invocation(0)]))
    scribe.copy_once()
    scribe.copy_once()
    working = connections(traces)
    monkeypatch.setattr(module, "RESTS_AFTER_S", 0)
    scribe.copy_once()
    wait_until(lambda: connections(traces) == 0, "it has hung up")

    spool.append(msgspec.msgpack.encode([invocation(1)]))
    scribe.copy_once()

    assert working == 1
    assert traces.numbers() == [0, 1]
    spool.close()


def connections(traces: Traces) -> int:
    """How many connections there are besides the one that asks."""
    ((count,),) = traces.query(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(count)


# -- in the gateway


def test_the_gateway_runs_a_scribe_and_starts_it_again(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()

    killed = box.kill_child("scribe")

    wait_until(lambda: box.children()["scribe"] != killed, "another runs")
    status, metrics = box.get("/metrics")
    assert status == 200
    assert "mcp_gateway_trace_spool_bytes 0" in str(metrics)


def test_the_gateway_leaves_its_scribe_out_when_told_so(
    make_box: Callable[..., Box],
) -> None:
    box = make_box(gw_traces=False)

    assert "scribe" not in box.children()


def test_a_scribe_goes_with_its_gateway_and_copies_what_is_left(
    make_box: Callable[..., Box],
) -> None:
    box = make_box()
    scribe = box.children()["scribe"]
    traces = Traces(box.settings.trace_spool, box.database_url)
    producer = traces.produce(500, rate=100_000)
    dropped_when_idle(producer)
    producer.kill()
    producer.wait()
    lines_of(producer).close()

    assert box.stop() == 0

    assert len(traces.numbers()) == 500
    with pytest.raises(ProcessLookupError):
        os.kill(scribe, 0)


def test_a_call_through_the_gateway_becomes_a_row(box: Box, web_server: str) -> None:
    box.host_http("web", f"{web_server}/mcp")
    server = box.execute("SELECT id FROM servers WHERE name = 'web'")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    box.post(
        "web",
        tool_call("headers", {"password": "hunter2"}),
        key=box.key,
        headers={"traceparent": trace},
    )

    def row() -> Any:
        return box.execute(
            "SELECT to_jsonb(i) FROM invocations i WHERE server_id = %s AND method = 'tools/call'",
            server,
        )

    wait_until(row, "the call is a row", within_s=2)
    found = row()
    assert found["principal"] == f"server:{server}"
    assert (found["target"], found["http_status"]) == ("headers", 200)
    assert (found["error_class"], found["rpc_code"]) == ("", None)
    assert found["traceparent"] == trace
    assert found["deployment_id"] is not None
    assert 0 < found["duration_ms"] < 5000
    assert '"password": "[redacted]"' in found["request"]
    assert "hunter2" not in str(found)
    assert '"result"' in found["response"]


def test_a_server_that_wants_no_bodies_kept_has_none(box: Box, web_server: str) -> None:
    box.host_http("quiet", f"{web_server}/mcp")
    box.execute(
        "UPDATE servers SET config = config || '{\"trace_bodies\": false}' WHERE name = 'quiet'"
    )
    server = box.execute("SELECT id FROM servers WHERE name = 'quiet'")

    def kept() -> Any:
        box.post("quiet", tool_call("headers"), key=box.key)
        time.sleep(0.5)
        return box.execute(
            "SELECT to_jsonb(i) FROM invocations i WHERE server_id = %s ORDER BY id DESC LIMIT 1",
            server,
        )

    wait_until(lambda: kept()["request"] is None, "no body is kept")
    assert kept()["response"] is None
    assert kept()["response_bytes"] > 0
