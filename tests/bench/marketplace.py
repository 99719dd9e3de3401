"""A ledger of many builds, and how long the marketplace takes to find something in it.

The rows are made of whole English-like names, so that words are common, rare or absent, and the chain holds.
"""

import csv
import io
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.accounts.model import SYSTEM
from appliance.artifacts import chain, store
from appliance.artifacts.model import (
    ArtifactPlatform,
    CatalogQuery,
    RunRecord,
    RunStatus,
)
from appliance.artifacts.service import LedgerService
from appliance.core.chain import GENESIS
from appliance.infra.database import Database, connect, connection_arguments

PLATFORMS = ("linux/amd64", "linux/arm64")
SUBJECTS = (
    "weather",
    "calendar",
    "invoice",
    "ticket",
    "search",
    "graph",
    "mail",
    "image",
    "wiki",
    "metrics",
)
KINDS = ("server", "gateway", "router", "bridge", "proxy", "agent", "index", "store")
TYPES = ("npm", "pypi", "git", "image", "Router", "PostgreSQL", "Slack")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Percentiles:
    """Times of one call, in milliseconds."""

    count: int
    p50: float
    p99: float
    longest: float


def seed(url: str, *, servers: int, runs: int) -> None:
    """Fill an empty ledger with ``runs`` runs of two platforms each, of which 5 in 100 failed."""
    dice = random.Random(7)
    made: list[tuple[Any, ...]] = []
    platforms: list[tuple[Any, ...]] = []
    before = GENESIS
    for number in range(1, runs + 1):
        run = _run(number, dice, servers)
        own = chain.row_hash(number, before, run)
        made.append((number, before, own, *_columns(run)))
        platforms += [(number, *astuple(item)) for item in run.platforms]
        before = own
    with closing(connect(connection_arguments(url))) as connection:
        cursor = connection.cursor()
        names = [item.name for item in fields(RunRecord) if item.name != "platforms"]
        _copy(
            cursor, "build_artifact_runs", ["id", "prev_hash", "row_hash", *names], made
        )
        names = [item.name for item in fields(ArtifactPlatform)]
        _copy(cursor, "build_artifact_platforms", ["run_id", *names], platforms)
        cursor.execute(
            "UPDATE build_artifact_chain SET runs = %s, head_hash = %s", (runs, before)
        )
    database = Database(url, size=1)
    database.run_blocking(store.rebuild)
    database.close()
    with closing(connect(connection_arguments(url))) as connection:
        connection.cursor().execute("VACUUM ANALYZE")


def host(url: str, *, servers: int) -> None:
    """Add the servers that the runs were built for, and their owners."""
    with closing(connect(connection_arguments(url))) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "INSERT INTO users (id, email, password_hash, role) SELECT n, n || '@example.org', '', 'member'"
            " FROM generate_series(1, 50) AS n"
        )
        cursor.execute(
            "INSERT INTO servers (id, name, owner_id, source, desired_state, status, endpoint_key_hash, endpoint_key_prefix)"
            " SELECT n, 'server-' || n, 1 + mod(n - 1, 50), '{}', 'stopped', 'stopped', int8send(n), ''"
            " FROM generate_series(1, %s) AS n",
            (servers,),
        )
        cursor.execute("VACUUM ANALYZE")


def name_of(server: int) -> str:
    """Return the name of a server."""
    return f"{SUBJECTS[server % 10]}-{KINDS[server // 10 % 8]}-{server:05d}"


def _run(number: int, dice: random.Random, servers: int) -> RunRecord:
    server = number % servers
    name = name_of(server)
    image = f"registry.example.org/mcp/{name}"
    is_good = dice.random() > 0.05
    platforms = tuple(
        ArtifactPlatform(
            item,
            _digest(dice),
            f"{image}@{digest}",
            digest,
            credential_health_status="healthy",
        )
        for item in PLATFORMS
        for digest in [_digest(dice)]
    )
    started = BEGIN + timedelta(minutes=4 * number)
    return RunRecord(
        build_id=number,
        attempt=1,
        deployment_id=number,
        server_id=server + 1,
        server_name=name,
        server_type=TYPES[server % len(TYPES)],
        owner_id=1 + server % 50,
        source={"kind": "package", "package": f"npm:@example/{name}"},
        source_kind="package",
        source_repo=f"npm:@example/{name}",
        source_branch="",
        source_revision=f"1.{number % 40}.{number % 7}",
        local_image=f"mcp-host/{name}:{number:x}",
        registry_image=image if is_good else "",
        manifest_tag=f"v{number}" if is_good else "",
        manifest_digest=_digest(dice) if is_good else None,
        is_multi_arch=is_good,
        targets=PLATFORMS,
        auth_refresh_attempted=False,
        auth_refresh_succeeded=False,
        auth_rotation_attempted=False,
        auth_rotation_succeeded=False,
        credential_health_status="healthy" if is_good else "",
        shortcomings=(),
        status=RunStatus.SUCCEEDED if is_good else RunStatus.FAILED,
        error="" if is_good else "npm ended with 1.",
        started_at=started,
        completed_at=started + timedelta(seconds=40),
        platforms=platforms,
    )


def _digest(dice: random.Random) -> str:
    return f"sha256:{dice.getrandbits(256):064x}"


def _columns(run: RunRecord) -> Iterator[Any]:
    for item in fields(run):
        value = getattr(run, item.name)
        if item.name != "platforms":
            yield json.dumps(value) if isinstance(value, dict | tuple) else value


def _copy(
    cursor: Any, table: str, names: list[str], rows: list[tuple[Any, ...]]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(
        ["\\N" if value is None else value for value in row] for row in rows
    )
    text.seek(0)
    cursor.copy_expert(
        f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT csv, NULL '\\N')", text
    )


def terms(url: str) -> dict[str, list[str]]:
    """Return what people look for, by kind: each finds something else, so that nothing is answered from memory."""
    dice = random.Random(3)
    with closing(connect(connection_arguments(url))) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT manifest_digest, manifest_tag FROM build_artifact_runs JOIN catalog_latest ON run_id = id"
        )
        found = [row for row in cursor.fetchall() if row[0]]
    chosen = dice.sample(found, 200)
    numbers = dice.sample(range(1000, 5000), 200)
    return {
        "common word": [*SUBJECTS, *KINDS, "registry", "example", "linux", "sha256"],
        "rare part of name": [f"{number:05d}" for number in numbers],
        "part of digest": [digest[20:32] for digest, _ in chosen],
        "tag": [tag for _, tag in chosen],
        "no match": [f"zq{dice.getrandbits(32):08x}" for _ in range(200)],
        "2 letters": ["we", "er", "00", "np", "ab", "zq", "f3", "v9", "-i", "ex"],
        "1 letter": ["a", "z", "7", "-", "q"],
        "no word": [""],
    }


async def times_of(call: Callable[[int], Awaitable[object]], count: int) -> Percentiles:
    """Return what ``count`` calls took, one after another; each gets its number."""
    times = []
    for number in range(count):
        started = time.perf_counter()
        await call(number)
        times.append((time.perf_counter() - started) * 1000)
    return percentiles(times)


def percentiles(times: Sequence[float]) -> Percentiles:
    """Return what ``times`` were like."""
    ordered = sorted(times)
    return Percentiles(
        len(ordered),
        ordered[len(ordered) // 2],
        ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        ordered[-1],
    )


async def searches(ledger: LedgerService, words: list[str], count: int) -> Percentiles:
    """Return what ``count`` searches for ``words`` in turn took, each a page of 50."""
    return await times_of(
        lambda number: ledger.search(
            SYSTEM, CatalogQuery(text=words[number % len(words)])
        ),
        count,
    )
