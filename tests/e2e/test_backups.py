"""A backup of a running server, brought back where nothing of it is left: same endpoint, same key, same files."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.core.egress import bridge_prefix
from tests.fakes.tiny import tiny_server
from tests.harness.appliance import Appliance, Created

CANARY = "canary-5f1c0de5-never-in-clear"
IMAGE = "mcp-host-test-backups:1"
WAIT_S = 60


def docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An MCP server of two megabytes."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in tiny_server().items():
            data = content if isinstance(content, bytes) else content.encode()
            (Path(directory) / name).write_bytes(data)
        subprocess.run(
            ["docker", "build", "-q", "-t", IMAGE, directory],
            env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, check=True,
        )  # fmt: skip
    yield IMAGE
    docker("rmi", "-f", IMAGE)


def made(box: Appliance) -> dict[str, Any]:
    """Have the hub make a backup, and return it when it ended."""
    backup = box.api("POST", "/api/backups", {})
    deadline = time.monotonic() + WAIT_S
    while backup["state"] == "running":
        assert time.monotonic() < deadline, box.logs()
        time.sleep(0.1)
        backup = box.api("GET", f"/api/backups/{backup['id']}")
    assert backup["state"] == "succeeded", backup["error"]
    return dict(backup)


def leave_unfinished(target: Path, owner: str) -> None:
    """Put there what a backup leaves that is killed."""
    target.mkdir()
    (target / f".mcp-host-{owner}-20200101T000000Z.tar").touch()


def wipe(box: Appliance) -> None:
    """Leave of an installation what a fire leaves."""
    owner = box.owner
    box.command("down")
    box._sweep_engine()
    box._sweep_disks()
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    docker("rmi", "-f", IMAGE, *[tag for tag in tags if owner in tag])
    shutil.rmtree(box.environment["DATA_DIR"])
    del box.environment["JWT_SECRET"]
    box.environment["DATA_DIR"] = str(box.home / "another")


def settle_another(box: Appliance) -> str:
    """Leave what an installation leaves that has no servers, and return its table in the firewall."""
    home, owner = Path(box.environment["DATA_DIR"]), secrets.token_hex(6)
    home.mkdir()
    (home / "installation-id").write_text(f"{owner}\n")
    table = "mcp_host_" + bridge_prefix(owner).removeprefix("mcp").rstrip("-")
    subprocess.run(["nft", "add", "table", "inet", table], check=True)
    return table


def tables() -> str:
    done = ["nft", "list", "tables"]
    return subprocess.run(done, capture_output=True, text=True, check=True).stdout


def say_hello(server: Created) -> dict[str, Any]:
    answer = httpx.post(
        server.endpoint,
        headers={"Authorization": f"Bearer {server.key}", "Accept": "application/json, text/event-stream"},
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
    )  # fmt: skip
    answer.raise_for_status()
    return dict(answer.json()["result"]["serverInfo"])


def test_a_running_server_comes_back_where_nothing_of_it_is_left(image: str) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        phrase, target = Path(place) / "passphrase", Path(place) / "target"
        phrase.write_text("correct horse battery staple\n")
        with Appliance.temporary(
            backup_passphrase_file=phrase, backup_target=target, backup_every_hours=0
        ) as box:
            server = box.create("tiny", image=image, secrets={"TOKEN": CANARY})
            box.wait_running(server)
            (container,) = box.containers(server.id)
            docker("exec", container, "sh", "-c", "echo precious > /data/note")

            leave_unfinished(target, box.owner)

            backup = made(box)
            (file,) = target.iterdir()
            assert CANARY.encode() not in file.read_bytes()
            assert backup["summary"]["servers"][0]["image"] == "included"
            with pytest.raises(RuntimeError, match="appliance runs"):
                box.command("restore", str(file))

            wipe(box)
            assert "is whole" in box.command(
                "restore", str(file), "--verify-only", "--passphrase-file", str(phrase)
            )
            table = settle_another(box)
            assert "are as they were written" in box.command(
                "restore", str(file), "--passphrase-file", str(phrase)
            )
            assert table not in tables()
            with pytest.raises(RuntimeError, match="people or servers already"):
                box.command("restore", str(file), "--passphrase-file", str(phrase))
            box.up()
            box.wait_running(server)

            assert say_hello(server)["name"] == "tiny"
            (container,) = box.containers(server.id)
            assert docker("exec", container, "cat", "/data/note") == "precious\n"
            assert docker("exec", container, "cat", "/run/secrets/TOKEN") == CANARY
            assert box.api("GET", "/api/artifacts/chain")["runs"] == 1
            assert box.api("GET", "/api/me")["email"] == box.email
