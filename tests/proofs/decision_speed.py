"""How long a decision takes: facts gathered from Postgres, decided by seven rules, and stored, before every launch.

The ledger has 100,000 builds of 5,000 servers, and there are 10,000 certifications. Measured at the gate, on one connection,
beside the emptiest thing that the same door can do. The engine's own word is taken from memory, as it is for most launches.
No decision reads the ledger or the certifications from end to end: Postgres' own counts say so. What the filling left in this
process's memory is frozen, so that the collector does not walk through it while decisions are timed; it is on otherwise.
"""

import asyncio
import gc
from contextlib import closing
from statistics import median

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments, proxy
from appliance.policy import document_store
from appliance.policy.document import parse
from tests.bench.decisions import RULES, decided, govern, subjects
from tests.bench.marketplace import Percentiles, host, seed, times_of
from tests.cluster import throw_away_cluster
from tests.conftest import MIGRATIONS
from tests.proofs.claim import hold

SERVERS, RUNS, CERTIFICATIONS = 5_000, 100_000, 9_500
ROUNDS, COUNT = 7, 500
LIMIT_MS = 5.0
_SCANS = """
SELECT sum(seq_scan) FROM pg_stat_user_tables
WHERE relname IN ('build_artifact_runs', 'build_artifact_platforms', 'evaluation_certifications')
"""


def prove() -> None:
    """Fill a database, and decide."""
    with throw_away_cluster() as cluster:
        cluster.execute("CREATE DATABASE ledger")
        url = cluster.url("ledger")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        seed(url, servers=SERVERS, runs=RUNS)
        host(url, servers=SERVERS)
        certifications, runs = govern(url)
        worst, floor, scans = asyncio.run(_measured(url))
    hold(
        worst <= LIMIT_MS
        and not scans
        and runs >= RUNS
        and certifications >= CERTIFICATIONS,
        f"p99 of a decision {worst:.2f} ms (at most {LIMIT_MS:g}; SELECT 1 {floor:.2f}) with {runs} builds and"
        f" {certifications} certifications; whole tables read: {scans}",
    )


async def _measured(url: str) -> tuple[float, float, int]:
    """Return the p99 of decisions and of the floor, and how often a table was read whole; prints all figures.

    The first is the worse of with and without a policy.
    """
    database = Database(url, size=1)
    asked = await asyncio.to_thread(subjects, database, SERVERS)
    found: dict[str, list[Percentiles]] = {}
    scans = await _scans(database)
    gc.collect()
    gc.freeze()
    await decided(database, asked, 100)
    for policy in ("no policy", "7 rules"):
        if policy == "7 rules":
            await database.run(_govern)
            await decided(database, asked[-100:], 100)
        for part in range(ROUNDS):
            mine = asked[part * COUNT : (part + 1) * COUNT]
            floor = await times_of(lambda _: database.ping(), COUNT)
            found.setdefault("SELECT 1", []).append(floor)
            taken, verdicts = await decided(database, mine, COUNT)
            found.setdefault(f"{policy}, first", []).append(taken)
            taken, _ = await decided(database, mine, COUNT)
            found.setdefault(f"{policy}, again", []).append(taken)
            if not part:
                told = ", ".join(f"{key}: {n}" for key, n in sorted(verdicts.items()))
                print(f"{policy}: {told}")
    scans = await _scans(database) - scans
    await asyncio.to_thread(database.close)
    print(f"{'one connection, ms':<20} {'p50':>6} {'p99':>6}   p99 of each round")
    for kind, rounds in found.items():
        each = " ".join(f"{item.p99:.2f}" for item in rounds)
        print(
            f"{kind:<20} {median(i.p50 for i in rounds):6.2f} {_p99(rounds):6.2f}   {each}"
        )
    floors = _p99(found.pop("SELECT 1"))
    return max(map(_p99, found.values())), floors, scans


async def _scans(database: Database) -> int:
    """Return how often a table that is large here was read from end to end."""
    # What a connection counted it tells the others now and then, but at the end of this transaction for certain.
    await database.run(proxy.execute_sql, "SELECT pg_stat_force_next_flush()")
    (row,) = await database.run(lambda: proxy.execute_sql(_SCANS).fetchall())
    return int(row[0])


def _p99(rounds: list[Percentiles]) -> float:
    return median(item.p99 for item in rounds)


def _govern() -> None:
    made = document_store.add(parse(RULES).as_dict(), note="", by="bench")
    document_store.activate(made.version, by="bench")
