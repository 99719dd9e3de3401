"""What a migration may take away, and what is remembered of releases."""

from pathlib import Path

import pytest

from appliance.upgrades.errors import UnknownReleaseError, UpgradeRunsError
from appliance.upgrades.expanding import contractions
from appliance.upgrades.home import COMPLETE, Home
from appliance.upgrades.model import Journal, Outcome
from tests.conftest import MIGRATIONS


def test_no_migration_takes_away_what_the_release_before_needs() -> None:
    found = {
        path.name: told
        for path in sorted(MIGRATIONS.glob("*.sql"))
        if (told := contractions(path.read_text()))
    }

    assert not found, "docs/upgrade.md says how to take something away"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("ALTER TABLE a DROP COLUMN b;", ["drops a column"]),
        ("DROP TABLE a;", ["drops a table"]),
        ("ALTER TABLE a RENAME COLUMN b TO c;", ["renames"]),
        ("ALTER TABLE a ALTER b SET NOT NULL;", ["forbids NULL where the release before may write it"]),
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint;", ["changes a type"]),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL;", ["adds a column that the release before does not fill"]),
        ("DROP VIEW v;", ["drops the view v"]),
        ("-- contracts: not used since 1.2.0\nDROP TABLE a;", []),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0;", []),
        ("ALTER TABLE a ADD COLUMN b int;", []),
        ("ALTER TABLE a ADD CONSTRAINT c CHECK (b IS NOT NULL) NOT VALID;", []),
        ("DROP VIEW v; CREATE VIEW v AS SELECT 1;", []),
        ("CREATE TABLE a (renamed text NOT NULL); -- DROP TABLE b", []),
        ("INSERT INTO a VALUES ('DROP TABLE b');", []),
    ],
)  # fmt: skip
def test_what_a_migration_takes_away_is_found(sql: str, told: list[str]) -> None:
    assert contractions(sql) == told


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for version in ("1.0", "1.1", "1.2"):
        (tmp_path / "releases" / version).mkdir(parents=True)
        (tmp_path / "releases" / version / COMPLETE).touch()
    found = Home(tmp_path)
    found.point_to("1.0")
    found.end(Journal("", "1.0"), Outcome.INSTALLED)
    return found


def test_the_release_before_is_the_one_that_was_left(home: Home) -> None:
    with pytest.raises(UnknownReleaseError):
        home.before()
    home.point_to("1.1")
    home.end(Journal("1.0", "1.1"), Outcome.UPGRADED)
    home.end(Journal("1.1", "1.2"), Outcome.FAILED, "it did not come up")

    assert home.before() == "1.0"


def test_only_the_release_that_counts_and_the_one_before_stay(home: Home) -> None:
    home.point_to("1.1")
    home.end(Journal("1.0", "1.1"), Outcome.UPGRADED)

    assert home.prune() == ["1.2"]
    assert home.versions() == ["1.0", "1.1"]


def test_a_release_that_was_made_in_part_is_none(home: Home) -> None:
    (home.path / "releases/1.2" / COMPLETE).unlink()

    with pytest.raises(UnknownReleaseError, match=r"there are: 1.0, 1.1"):
        home.point_to("1.2")


def test_one_change_at_a_time(home: Home) -> None:
    with home.locked(), pytest.raises(UpgradeRunsError), Home(home.path).locked():
        pass


def test_a_change_that_began_is_known_until_it_ends(home: Home) -> None:
    journal = Journal("1.0", "1.1")
    home.begin(journal)
    assert home.journal() == journal

    home.end(journal, Outcome.UPGRADED)

    assert home.journal() is None
    assert [item.outcome for item in home.changes()] == [
        Outcome.INSTALLED,
        Outcome.UPGRADED,
    ]
