"""What the doctor finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.doctor.model import Finding, Verdict, fail, ok, warn, worst
from appliance.doctor.rounds import MIGRATIONS, checks, look
from appliance.settings import Settings


@pytest.fixture
def box(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a stopped appliance whose database runs."""
    return Settings(
        jwt_secret="s" * 32,
        database_url=database_url,
        data_dir=tmp_path,
        run_dir=tmp_path / "run",
        backup_target=str(tmp_path / "backups"),
        backup_passphrase_file=tmp_path / "passphrase",
    )


def of(findings: list[Finding], part: str) -> list[Finding]:
    return [item for item in findings if item.part == part]


def test_each_thing_that_is_wrong_is_told_with_what_mends_it(
    box: Settings, tmp_path: Path
) -> None:
    phrase = tmp_path / "passphrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o644)

    found = look(box)
    phrase.chmod(0o600)
    mended = look(box)

    assert of(found, "secrets") == [
        fail("secrets", f"{phrase} can be read by others on this box.", f"chmod 600 {phrase}")
    ]  # fmt: skip
    assert of(mended, "secrets")[0].verdict is Verdict.OK
    assert of(found, "processes")[0].mend == "mcp-host up"
    assert of(found, "migrations")[0].verdict is Verdict.OK
    told = {item.text for item in of(found, "backups")}
    assert "There is no good one yet." in told
    assert all(item.mend for item in found if item.verdict and item.part != "dns")


def test_a_look_that_breaks_is_a_finding_and_keeps_no_other_from_being_told(
    box: Settings, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "master-keys.json").write_text("[]")

    parts = {item.part for item in look(box)}

    assert {"master keys", "backups", "engine", "processes"} <= parts
    assert set(checks(box)) >= {"disk", "memory", "clock", "network"}
    assert MIGRATIONS.is_dir()


def test_the_worst_finding_is_the_exit_code(tmp_path: Path) -> None:
    assert worst([]) is Verdict.OK
    assert worst([ok("a", ""), warn("b", ""), ok("c", "")]) is Verdict.WARN
    assert worst([fail("a", ""), warn("b", "")]) is Verdict.FAIL

    done = subprocess.run(
        [sys.executable, "-P", "-m", "appliance", "doctor", "-o", "json"],
        env={"PATH": os.environ["PATH"], "BIND_PORT": "no number"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert told["verdict"] == "fail"
    assert any("BIND_PORT" in item["text"] for item in told["findings"])
