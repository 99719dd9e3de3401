"""However people of one organisation act, they find no way to another; the proof ``orgs-apart`` tries for longer."""

from pathlib import Path

from appliance.infra.database import Database
from tests.harness.orgs_apart import attack


def test_nobody_finds_a_way_from_one_organisation_to_another(
    database: Database, tmp_path: Path
) -> None:
    # The first sequence is the simplest that there is, so two are tried.
    attack(database, tmp_path, examples=2, steps=10)
