"""Every command of docs/admin is run here, or by the proof that has what it takes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from tests.harness import guide
from tests.harness.appliance import Appliance

COMMAND_S = 120
#: What the guide calls a place that is another here.
PLACES = ("/var/backups/mcp-host", "/etc/mcp-host/passphrase")


@pytest.fixture(scope="module")
def shell(
    appliance: Appliance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["Shell"]:
    """A shell on the box, with what the guide takes for granted: a passphrase, and somebody who leaves."""
    home = tmp_path_factory.mktemp("guide")
    (home / "passphrase").write_text("long enough for a test\n")
    person = {"email": "leaver@example.org", "password": "a long enough password"}
    appliance.api("POST", "/api/users", person | {"role": "member"})
    yield Shell(appliance, home)
    for server in appliance.api("GET", "/api/servers?limit=200")["items"]:
        if server["name"] == "weather":
            appliance.delete(server["id"])


class Shell:
    """Runs commands as an operator would, who has signed in."""

    def __init__(self, appliance: Appliance, home: Path) -> None:
        self._home = home
        programs = Path(sys.executable).parent
        self._environment = appliance.environment | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "MCPCTL_URL": appliance.url,
            "MCPCTL_API_KEY": appliance.api_key,
        }

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        for place in PLACES:
            command = command.replace(place, str(self._home / Path(place).name))
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=guide.ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )


def test_every_command_does_what_it_is_there_for(shell: Shell) -> None:
    failed = []
    # Backups first, while there is no image to copy: what is in one is tested elsewhere.
    commands = sorted(
        guide.commands(guide.ANYWHERE), key=lambda command: "backup" not in command
    )
    for command in commands:
        done = shell.run(command)
        if done.returncode:
            said = (done.stderr or done.stdout)[-500:]
            failed.append(f"{command}: {done.returncode}: {said}")

    assert failed == []


def test_no_block_is_run_by_nobody() -> None:
    kinds = {block.kind for block in guide.blocks() if block.info != "ini"}

    assert kinds <= set(guide.RUN_BY)
    for kind in kinds - {guide.ANYWHERE}:
        runner = (guide.ROOT / guide.RUN_BY[str(kind)]).read_text()
        assert f"guide.commands(guide.{str(kind).upper()})" in runner


def test_settings_of_the_guide_are_settings() -> None:
    names = [
        line.partition("=")[0].lower()
        for block in guide.blocks()
        if block.info == "ini"
        for line in block.lines
    ]

    assert names
    assert [name for name in names if name not in Settings.model_fields] == []


def test_scripts_for_other_boxes_know_the_options_that_the_guide_gives_them() -> None:
    for command in guide.commands(guide.BOX) + guide.commands(guide.CONTAINER):
        script, *arguments = shlex.split(command)
        if not script.startswith("scripts/"):
            continue
        told = subprocess.run(
            [guide.ROOT / script, "--help"], capture_output=True, text=True, check=True
        ).stdout

        options = [word for word in arguments if word.startswith("--")]
        assert [word for word in options if word not in told] == [], command


def test_links_of_the_guide_lead_somewhere() -> None:
    lost = [
        f"{page.name}: {target}"
        for page in guide.GUIDE.glob("*.md")
        for target in _links(page.read_text())
        if not (page.parent / target.partition("#")[0]).exists()
    ]

    assert lost == []


def _links(text: str) -> list[str]:
    return [
        part.partition(")")[0] for part in text.split("](")[1:] if "://" not in part
    ]
