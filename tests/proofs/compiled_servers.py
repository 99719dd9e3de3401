"""Rust and Go servers without Dockerfile, from a git repository to a called tool.

Each of the two fixtures, which need the standard library alone, is hosted by a running appliance, its tool is called at its
endpoint, and its image is measured. Hosted once more, it takes the toolchain from the engine's cache.
"""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.git_http import GitServer, git_server
from tests.harness.appliance import ROOT, Appliance
from tests.harness.mcp import HttpMcp
from tests.proofs.claim import hold

FIXTURES = ROOT / "tests" / "fixtures"
TIME_OUT_S = 900
MIB = 1024**2
SMALL = 16 * MIB


@dataclass
class Hosted:
    """One server that was hosted and called."""

    name: str
    answer: str
    size: int
    #: Until it ran, and until it ran when hosted once more.
    first_s: float
    again_s: float = 0


def prove() -> None:
    """Hold that both are built, small, and answer."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as place,
        git_server(Path(place)) as repositories,
        Appliance.temporary() as appliance,
    ):
        rows = [
            _twice(appliance, repositories, name) for name in ("rust-clock", "go-clock")
        ]
    for row in rows:
        print(
            f"{row.name:<11} {row.size / MIB:5.1f} MiB   first {row.first_s:5.1f} s   again {row.again_s:5.1f} s"
            f"   {row.answer}"
        )
    is_held = all(row.answer and row.size < SMALL for row in rows)
    sizes = ", ".join(f"{row.name} {row.size / MIB:.1f} MiB" for row in rows)
    hold(is_held, f"compiled, called, images below {SMALL // MIB} MiB: {sizes}")


def _twice(appliance: Appliance, repositories: GitServer, name: str) -> Hosted:
    root = FIXTURES / name.replace("-clock", "_server")
    files = {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }
    url = repositories.add(name, files)
    found = _host(appliance, name, url)
    found.again_s = _host(appliance, f"{name}-again", url).first_s
    return found


def _host(appliance: Appliance, name: str, url: str) -> Hosted:
    started = time.monotonic()
    created = appliance.create(name, repo_url=url)
    view = appliance.wait_running(created, timeout_s=TIME_OUT_S)
    seconds = time.monotonic() - started
    with HttpMcp(created.endpoint, created.key, timeout_s=60) as client:
        client.initialize()
        (tool,) = client.request("tools/list", {})["tools"]
        called = client.request("tools/call", {"name": tool["name"], "arguments": {}})
    return Hosted(
        name, called["content"][0]["text"], _size(view["deployment"]["image"]), seconds
    )


def _size(image: str) -> int:
    done = subprocess.run(
        ["docker", "image", "inspect", image],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(json.loads(done.stdout)[0]["Size"])
