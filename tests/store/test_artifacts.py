"""The ledger and the catalog in a real Postgres: only added to, chained, and what shows when that is not so."""

import asyncio
from contextlib import closing
from typing import Any

import pytest
from peewee import DatabaseError

from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import SYSTEM, Principal, Role
from appliance.artifacts import entries, store
from appliance.artifacts.errors import ArtifactNotFoundError
from appliance.artifacts.model import (
    Anchor,
    CatalogQuery,
    ChainReport,
    RunStatus,
    ServerFacts,
)
from appliance.artifacts.service import LedgerService
from appliance.builds.model import BuildState
from appliance.core.errors import InvalidError
from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from tests.cluster import ThrowAwayCluster
from tests.conftest import MIGRATIONS
from tests.fakes.runs import BOTH, digest, finished, record

ADA, BOB = (
    Principal(number, f"{number}@example.org", Role.MEMBER, "session")
    for number in (1, 2)
)
READER = Principal(3, "reader@example.org", Role.READER, "session")


RUNS, PLATFORMS = "UPDATE build_artifact_runs", "UPDATE build_artifact_platforms"
ONE_MORE = """
INSERT INTO build_artifact_platforms
SELECT run_id, 'linux/s390x', image_id, image_reference, digest, false, false, false, false, ''
FROM build_artifact_platforms WHERE run_id = 1 LIMIT 1
"""


@pytest.fixture
def ledger(database: Database) -> LedgerService:
    """A ledger on a box where servers 1 to 9 are hosted, Bob's those of even number."""

    def servers(ids: Any) -> dict[int, ServerFacts]:
        return {
            number: ServerFacts(1 + (number + 1) % 2, "npm")
            for number in ids
            if number < 10
        }

    return LedgerService(database, servers=servers, targets=BOTH)


async def write(database: Database, ledger: LedgerService, *runs: Any) -> list[int]:
    return [await database.run(ledger.record, run) for run in runs]


async def tamper(database: Database, *statements: str) -> None:
    """Change rows as somebody who may switch triggers off."""

    def run() -> None:
        database.peewee.execute_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            database.peewee.execute_sql(statement)

    await database.run(run)


async def breaks(ledger: LedgerService) -> list[tuple[int, str]]:
    report = await ledger.verify(SYSTEM)
    return [(item.seq, item.what) for item in report.breaks]


async def test_a_run_comes_back_as_it_was_written(
    database: Database, ledger: LedgerService
) -> None:
    run = finished(1, shortcomings=("No attestations.",))

    (run_id,) = await write(database, ledger, run)
    found = await ledger.get(SYSTEM, run_id)

    assert run_id == 1
    assert found.run.source_repo == "pypi:mcp-server-time==1.2.3"
    assert found.run.targets == BOTH
    assert found.run.shortcomings == ("No attestations.",)
    assert found.run.started_at == run.started_at
    assert [item.digest for item in found.run.platforms] == [digest(101), digest(102)]
    assert found.rating.tier == "gold:npm"
    assert await breaks(ledger) == []


async def test_an_attempt_is_written_once_and_another_attempt_again(
    database: Database, ledger: LedgerService
) -> None:
    failed = finished(1, status=BuildState.CANCELLED)

    ids = await write(database, ledger, failed, failed, finished(1, attempt=2))

    assert ids == [1, 1, 2]
    rows = await ledger.history(SYSTEM, server_id=1)
    assert [item.run.status for item in rows] == [
        RunStatus.SUCCEEDED,
        RunStatus.CANCELLED,
    ]


async def test_nothing_is_left_of_a_transaction_that_was_rolled_back(
    database: Database, ledger: LedgerService
) -> None:
    def fail() -> None:
        ledger.record(finished(1))
        raise InvalidError("no")

    with pytest.raises(InvalidError):
        await database.run(fail)
    ids = await write(database, ledger, finished(2))

    assert ids == [1]
    assert await breaks(ledger) == []


async def test_builds_that_end_at_once_make_one_chain(
    database: Database, ledger: LedgerService
) -> None:
    await asyncio.gather(
        *(database.run(ledger.record, finished(number)) for number in range(1, 21))
    )

    report = await ledger.verify(SYSTEM)

    assert (report.runs, report.breaks) == (20, ())


@pytest.mark.parametrize("table", ["build_artifact_runs", "build_artifact_platforms"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET credential_health_status = 'x'",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
    ],
)
async def test_postgres_itself_refuses_to_change_a_row(
    database: Database, ledger: LedgerService, table: str, statement: str
) -> None:
    await write(database, ledger, finished(1))

    with pytest.raises(DatabaseError, match="append-only"):
        await database.run(database.peewee.execute_sql, statement.format(table))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([f"{RUNS} SET manifest_digest = 'sha256:0' WHERE id = 3"], [(3, "changed")]),
        ([f"{RUNS} SET completed_at = completed_at + interval '1 us' WHERE id = 5"], [(5, "changed")]),
        ([f"{PLATFORMS} SET digest = 'sha256:0' WHERE run_id = 2 AND platform = 'linux/arm64'"], [(2, "changed")]),
        (["DELETE FROM build_artifact_platforms WHERE run_id = 4"], [(4, "changed")]),
        ([ONE_MORE], [(1, "changed")]),
        (["DELETE FROM build_artifact_runs WHERE id = 3"], [(3, "missing")]),
        (["DELETE FROM build_artifact_runs WHERE id >= 4"], [(4, "missing")]),
        ([f"{RUNS} SET row_hash = repeat('a', 64) WHERE id = 3"], [(3, "changed"), (4, "unlinked")]),
        (
            [f"{RUNS} SET id = {after} WHERE id = {before}" for before, after in ((2, 99), (3, 2), (99, 3))],
            [(2, "unlinked"), (2, "changed"), (3, "unlinked"), (3, "changed"), (4, "unlinked")],
        ),
    ],
)  # fmt: skip
async def test_a_row_that_was_tampered_with_shows_where_it_is(
    database: Database,
    ledger: LedgerService,
    statements: list[str],
    expected: list[tuple[int, str]],
) -> None:
    await write(database, ledger, *(finished(number) for number in range(1, 6)))
    before = await breaks(ledger)

    await tamper(database, *statements)

    assert (before, await breaks(ledger)) == ([], expected)
    assert (await ledger.chain_state()).problem


async def test_a_ledger_made_anew_as_a_whole_shows_to_who_kept_its_end(
    database: Database, ledger: LedgerService
) -> None:
    await write(database, ledger, *(finished(number) for number in range(1, 4)))
    kept = (await ledger.chain_state()).head_hash
    everything = (
        "TRUNCATE build_artifact_runs, build_artifact_platforms, catalog_latest"
    )
    anew = "UPDATE build_artifact_chain SET runs = 0, head_hash = repeat('0', 64)"
    await tamper(database, "ALTER TABLE build_artifact_runs DISABLE TRIGGER USER",
                 "ALTER TABLE build_artifact_platforms DISABLE TRIGGER USER", everything, anew)  # fmt: skip
    await write(
        database, ledger, *(finished(number, revision="evil") for number in range(1, 5))
    )

    by_itself: ChainReport = await ledger.verify(SYSTEM)
    with_what_was_kept = await ledger.verify(SYSTEM, Anchor(3, kept))

    assert by_itself.is_intact
    assert [(item.seq, item.what) for item in with_what_was_kept.breaks] == [
        (3, "unknown")
    ]


async def test_people_see_their_own_and_administrators_and_readers_all(
    database: Database, ledger: LedgerService
) -> None:
    await write(database, ledger, finished(1), finished(2), finished(50))

    async def seen(principal: Principal) -> list[int]:
        catalog = await ledger.search(principal, CatalogQuery())
        history = await ledger.history(principal)
        assert [item.id for item in history] == [item.id for item in catalog.items]
        return [item.id for item in catalog.items]

    assert await seen(ADA) == [1]
    assert await seen(BOB) == [2]
    assert await seen(SYSTEM) == await seen(READER) == [3, 2, 1]
    assert await seen(Principal(77, "new@example.org", Role.MEMBER, "session")) == []
    for run_id in (2, 3, 99):
        with pytest.raises(ArtifactNotFoundError):
            await ledger.get(ADA, run_id)
    with pytest.raises(NotAllowedError):
        await ledger.verify(ADA)


async def test_the_catalog_shows_the_newest_and_the_newest_that_is_good(
    database: Database, ledger: LedgerService
) -> None:
    good = finished(1)
    failed = finished(1, build_id=2, status=BuildState.FAILED, error="no")
    failed_again = finished(1, build_id=3, status=BuildState.FAILED, error="no")
    good_again = finished(1, build_id=4)
    shown = []

    for run in (good, failed, failed_again, good_again):
        await write(database, ledger, run)
        page = await ledger.search(SYSTEM, CatalogQuery())
        shown.append([item.id for item in page.items])

    assert shown == [[1], [2, 1], [3, 1], [4]]
    assert await database.run(store.rebuild) == 1


async def test_a_catalog_made_anew_is_the_one_that_was_written_along(
    database: Database, ledger: LedgerService
) -> None:
    for number in range(1, 8):
        await write(database, ledger, finished(number))
    await write(database, ledger, finished(3, build_id=31, status=BuildState.FAILED))
    await write(database, ledger, finished(4, build_id=41))
    rows = "SELECT * FROM catalog_latest ORDER BY run_id"

    async def all_rows() -> list[Any]:
        return list((await database.run(database.peewee.execute_sql, rows)).fetchall())

    before = await all_rows()
    await database.run(store.rebuild)

    assert len(before) == 8
    assert await all_rows() == before


async def found(ledger: LedgerService, **wanted: Any) -> list[int]:
    page = await ledger.search(SYSTEM, CatalogQuery(**wanted))
    return sorted(item.id for item in page.items)


async def test_an_entry_that_was_read_before_is_shown_as_it_is_now(
    database: Database, ledger: LedgerService
) -> None:
    await write(database, ledger, finished(1, server_name="summer"), finished(2))
    before = await ledger.search(SYSTEM, CatalogQuery())
    changed = "UPDATE catalog_latest SET entry = replace(entry, 'summer', 'winter') WHERE run_id = 1"
    await database.run(database.peewee.execute_sql, changed)

    after = await ledger.search(SYSTEM, CatalogQuery())
    again = await ledger.search(SYSTEM, CatalogQuery())

    assert [item.run.server_name for item in before.items][1] == "summer"
    assert [item.run.server_name for item in after.items][1] == "winter"
    assert again == after


async def test_only_so_many_entries_are_kept(
    database: Database, ledger: LedgerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "KEPT", 2)
    await write(database, ledger, *(finished(number) for number in range(1, 5)))
    kept = entries.Entries()
    rows = "SELECT run_id, xmin::text FROM catalog_latest ORDER BY run_id"

    def read() -> list[int]:
        keys = database.peewee.execute_sql(rows).fetchall()
        return [run_id for run_id, _ in kept.of([*keys, (99, "1")])]

    assert await database.run(read) == [1, 2, 3, 4]
    assert await database.run(read) == [1, 2, 3, 4]
    assert len(kept._kept) == 2


async def test_filters_and_words_find_what_they_name(
    database: Database, ledger: LedgerService
) -> None:
    await write(
        database,
        ledger,
        finished(1, server_name="Weather"),
        finished(2, server_name="50%_off", published=None),
        finished(3, status=BuildState.FAILED, error="no"),
    )

    assert await found(ledger, text="WEATH") == [1]
    assert await found(ledger, text="we") == [1]
    assert await found(ledger, text=digest(102)[20:]) == [1]
    reference = record(1).platforms[0].image_reference
    assert "@" in reference
    assert await found(ledger, text=reference) == [1]
    assert await found(ledger, text="registry.example.org/mcp/time:7") == [1]
    assert await found(ledger, text="time weather") == [1]
    assert await found(ledger, text="time nowhere") == []
    assert await found(ledger, text="%_o") == [2]
    assert await found(ledger, text="_") == [2]
    assert await found(ledger, status=RunStatus.FAILED) == [3]
    assert await found(ledger, tier="Gold") == [1]
    assert await found(ledger, tier="silver:NPM") == [2]
    assert await found(ledger, tier="watchlist:git") == []
    assert await found(ledger, server_type="NPM") == [1, 2, 3]
    assert await ledger.server_types(SYSTEM) == ["npm"]
    with pytest.raises(InvalidError, match="tier"):
        await found(ledger, tier="platinum")


async def test_pages_go_on_where_the_one_before_ended(
    database: Database, ledger: LedgerService
) -> None:
    await write(database, ledger, *(finished(number) for number in range(1, 6)))
    seen: list[list[int]] = []
    before = None

    while True:
        page = await ledger.search(SYSTEM, CatalogQuery(), before=before, limit=2)
        seen.append([item.id for item in page.items])
        before = page.next
        if before is None:
            break

    assert seen == [[5, 4], [3, 2], [1]]


async def test_what_is_no_longer_hosted_is_told_apart(
    database: Database, ledger: LedgerService
) -> None:
    await write(database, ledger, finished(1), finished(50))

    page = await ledger.search(SYSTEM, CatalogQuery())

    assert [(item.id, item.is_hosted) for item in page.items] == [(2, False), (1, True)]


async def test_evidence_is_asked_for_only_of_what_succeeded(database: Database) -> None:
    ledger = LedgerService(database, servers=lambda _: {}, targets=BOTH, attests=True)

    await write(database, ledger, finished(1), finished(2, status=BuildState.FAILED))

    sql = "SELECT kind, payload FROM jobs"
    rows = (await database.run(database.peewee.execute_sql, sql)).fetchall()
    assert list(rows) == [("evidence.attest", {"run_id": 1})]


def test_where_trigrams_are_forbidden_the_schema_comes_up_and_search_reads_all(
    cluster: ThrowAwayCluster,
) -> None:
    cluster.execute("CREATE ROLE guest")
    cluster.execute("CREATE DATABASE guests")
    with closing(connect(connection_arguments(cluster.url("guests")))) as owner:
        owner.cursor().execute("GRANT ALL ON SCHEMA public TO guest")
    url = f"{cluster.url('guests')}&options=-c%20role%3Dguest"
    try:
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, MIGRATIONS)
        database = Database(url, size=1)
        ledger = LedgerService(database, servers=lambda _: {}, targets=BOTH)

        database.run_blocking(ledger.record, finished(1))
        indexed = asyncio.run(ledger.is_indexed())
        ids = asyncio.run(found(ledger, text="time"))
        database.close()
    finally:
        cluster.execute("DROP DATABASE guests WITH (FORCE)")
        cluster.execute("DROP ROLE guest")

    assert (indexed, ids) == (False, [1])
