"""A box goes to another release, and back when anything is wrong with it; no call notices."""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.upgrades.home import Home
from appliance.upgrades.model import Journal, Outcome
from tests.fakes.mcp_box import wait_until
from tests.harness.appliance import ROOT, Appliance
from tests.harness.ports import free_port
from tests.harness.releases import make_release, spoil
from tests.harness.steady_load import Load, Target, steady_load

FIRST, SECOND = "1.0.0", "1.1.0"
#: On a box that is busy with other tests; alone it takes a tenth.
SWITCH_S = 240


@dataclass
class Installed:
    """An appliance that runs from releases, and an endpoint on it."""

    appliance: Appliance
    home: Home
    target: Target

    def switch(self, *words: str) -> str:
        """Change the release as scripts/upgrade.sh does, and return what was said."""
        command = ("release", "switch", "--watch", "2", *words)
        return self.appliance.command(*command, within_s=SWITCH_S)

    def release_of(self, program: str) -> str:
        """Return from which release a program runs."""
        pid = self.appliance.pid(program)
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        (path,) = [item for item in environment if item.startswith(b"PYTHONPATH=")]
        return Path(path.decode().partition("=")[2].partition(":")[0]).name


@pytest.fixture(scope="module")
def box() -> Iterator[Installed]:
    place = Path(tempfile.mkdtemp(prefix="mcp-host-releases-", dir="/var/tmp"))
    place.chmod(0o755)
    make_release(place, FIRST)
    home = Home(place)
    (place / "current").symlink_to(f"releases/{FIRST}")
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.mcp_web", str(port)]
    with (
        subprocess.Popen(command, cwd=ROOT) as server,
        Appliance.temporary(
            [f"{place}/current/venv/bin/mcp-host"],
            remote_allow_private=True,
            egress_skip_start=True,
        ) as appliance,
    ):
        wait_until(lambda: accepts(port), "the HTTP server listens")
        created = appliance.create("web", remote_url=f"http://127.0.0.1:{port}/mcp")
        appliance.wait_running(created)
        target = Target(created.endpoint, created.key, "other")
        yield Installed(appliance, home, target)
        server.kill()
    shutil.rmtree(place)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_calls(load: Load) -> None:
    wait_until(lambda: load.calls > 20, "the load runs")


def test_upgrade_that_fails_late_is_undone_and_no_call_fails(box: Installed) -> None:
    gateway = box.appliance.pid("gateway")
    bad = make_release(box.home.path, "1.0.1")
    # It gets ready beside the other, but not in its place.
    spoil(
        bad,
        "appliance/bootstrap.py",
        "    problem = bring_schema_up(settings)\n",
        '    raise SystemExit("broken")\n',
    )

    with steady_load([box.target], per_second=50) as load:
        wait_for_calls(load)
        with pytest.raises(RuntimeError, match=r"did not stay up|could not be"):
            box.switch("1.0.1")

    assert load.failed == []
    assert (box.home.version, box.release_of("hub")) == (FIRST, FIRST)
    assert (box.release_of("gateway"), box.appliance.pid("gateway")) == (FIRST, gateway)
    assert [item.outcome for item in box.home.changes()] == [Outcome.FAILED]
    told = box.appliance.api("GET", "/api/system")
    assert (told["release"], told["changes"][0]["outcome"]) == (FIRST, "failed")
    assert "did not stay up" in told["changes"][0]["text"]


@pytest.mark.slow
def test_no_call_notices_the_way_to_another_release_and_back(box: Installed) -> None:
    make_release(box.home.path, SECOND)

    with steady_load([box.target], per_second=50) as load:
        wait_for_calls(load)
        box.switch(SECOND)
        assert (box.home.version, box.release_of("hub")) == (SECOND, SECOND)
        assert box.release_of("gateway") == SECOND
        box.switch("--rollback")
        assert (box.home.version, box.release_of("gateway")) == (FIRST, FIRST)

    assert load.failed == []
    outcomes = [(item.outcome, item.to) for item in box.home.changes()[-2:]]
    assert outcomes == [(Outcome.UPGRADED, SECOND), (Outcome.ROLLED_BACK, FIRST)]


@pytest.mark.slow
def test_release_that_does_not_come_up_changes_nothing(box: Installed) -> None:
    bad = make_release(box.home.path, "2.0.0")
    spoil(
        bad,
        "appliance/gateway/bridge/service.py",
        "class Bridge:",
        "import nothing_of_that_name\n\nclass Bridge:",
    )
    hub = box.appliance.pid("hub")

    with pytest.raises(RuntimeError, match="nothing_of_that_name"):
        box.switch("2.0.0")

    assert (box.home.version, box.appliance.pid("hub")) == (FIRST, hub)


@pytest.mark.slow
def test_interrupted_change_is_undone_by_the_next(box: Installed) -> None:
    make_release(box.home.path, "1.2.0")
    # As kill -9 leaves it right after the link was changed.
    box.home.begin(Journal(FIRST, "1.2.0"))
    box.home.point_to("1.2.0")

    said = box.switch("--rollback")

    assert "interrupted" in said
    assert (box.home.version, box.release_of("hub")) == (FIRST, FIRST)
    assert box.home.journal() is None
