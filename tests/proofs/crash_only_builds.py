"""kill -9 of the hub at each step of a build for two platforms: fetching, building, pushing, the list, the ledger.

A door in front of the git server and one in front of the registry hold the very request at which the hub is to die; the
ledger's table is locked for its step. Then everything is let go, and the hub that comes up again must bring the server to
run, with one row in the ledger, one tag in the registry, and nothing left of the attempt that died.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from appliance.infra.process import MARK
from tests.fakes.git_http import GitServer, git_server
from tests.fakes.tiny import AMD, ARM, slow, tiny_server
from tests.harness.appliance import Appliance, Created
from tests.harness.gate import Gate
from tests.harness.registry import Registry, registry
from tests.proofs.claim import hold

RECOVERY_S = 120.0
LOOK_S = 0.02


@dataclass
class Stage:
    """Everything that a kill needs."""

    appliance: Appliance
    repositories: GitServer
    git: Gate
    door: Gate
    registry: Registry


Create = Callable[[], Created]
#: Comes to a moment of a build and stays there while it is entered.
Reaching = Callable[[Stage, Create], contextlib.AbstractContextManager[Created]]


@dataclass
class Verdict:
    """What one kill did."""

    step: str
    recovered_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.step:<9} runs {self.recovered_s:5.1f} s after the kill; {'; '.join(self.problems) or 'all well'}"


def prove() -> None:
    """Kill the hub at every step."""
    with _stage() as stage:
        verdicts = [_kill(stage, step, reaching) for step, reaching in STEPS.items()]
    for verdict in verdicts:
        print(verdict)
    broken = [verdict.step for verdict in verdicts if verdict.problems]
    hold(
        not broken,
        f"{len(verdicts)} kills, each server runs, one ledger row and one tag each; broken: {', '.join(broken) or 'none'}",
    )


@contextmanager
def _stage() -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        repositories = stack.enter_context(git_server(home))
        git = stack.enter_context(Gate(urlsplit(repositories.url).port or 0))
        kept = stack.enter_context(registry("none"))
        door = stack.enter_context(Gate(kept.port))
        appliance = stack.enter_context(
            Appliance.temporary(
                registry=f"{door.host}/team", registry_arch_targets=f"{AMD},{ARM}"
            )
        )
        yield Stage(appliance, repositories, git, door, kept)


def _kill(stage: Stage, step: str, reaching: Reaching) -> Verdict:
    verdict = Verdict(step)
    path = urlsplit(stage.repositories.add(step, tiny_server(slow(2)))).path
    url = f"http://{stage.git.host}{path}"
    with reaching(stage, lambda: stage.appliance.create(step, repo_url=url)) as server:
        stage.appliance.kill("hub")
        started = time.monotonic()
    stage.git.open()
    stage.door.open()
    stage.appliance.wait_running(server, timeout_s=RECOVERY_S)
    verdict.recovered_s = time.monotonic() - started
    verdict.problems = _problems(stage, server)
    stage.appliance.delete(server.id)
    return verdict


# -- the moments, each reached when the context is entered


@contextmanager
def _fetching(stage: Stage, create: Create) -> Iterator[Created]:
    stage.git.shut(lambda chunk: b"/git-upload-pack HTTP" in chunk[:300])
    server = create()
    stage.git.await_held()
    yield server


@contextmanager
def _building(stage: Stage, create: Create) -> Iterator[Created]:
    server = create()
    _until(
        stage,
        "SELECT 1 FROM builds, jsonb_array_elements(platforms) row WHERE server_id = %s AND row->>'current' LIKE '%%sleep%%'",
        server.id,
    )
    yield server


@contextmanager
def _sending(stage: Stage, create: Create) -> Iterator[Created]:
    stage.door.shut(lambda chunk: chunk.startswith(b"P") and b"/blobs/uploads/" in chunk[:300])  # fmt: skip
    server = create()
    stage.door.await_held()
    yield server


@contextmanager
def _manifest(stage: Stage, create: Create) -> Iterator[Created]:
    stage.door.shut(lambda chunk: chunk.startswith(b"PUT ") and b"/manifests/sha256:" in chunk[:300])  # fmt: skip
    server = create()
    stage.door.await_held()
    yield server


@contextmanager
def _list(stage: Stage, create: Create) -> Iterator[Created]:
    def is_list(chunk: bytes) -> bool:
        line = chunk[:300]
        return (
            line.startswith(b"PUT ")
            and b"/manifests/" in line
            and b"/manifests/sha256" not in line
        )

    stage.door.shut(is_list)
    server = create()
    stage.door.await_held()
    yield server


@contextmanager
def _ledger(stage: Stage, create: Create) -> Iterator[Created]:
    """Hold the ledger's table, so that the transaction which ends the build stands still in the middle."""
    url = stage.appliance.command("database-url").strip()
    with (
        contextlib.closing(psycopg2.connect(url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLE build_artifact_runs IN SHARE MODE")
        server = create()
        _until(
            stage,
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'build_artifact_runs'::regclass AND %s > 0",
            server.id,
        )
        yield server


@contextmanager
def _written(stage: Stage, create: Create) -> Iterator[Created]:
    server = create()
    _until(
        stage,
        "SELECT 1 FROM builds WHERE server_id = %s AND state = 'succeeded'",
        server.id,
    )
    yield server


STEPS: dict[str, Reaching] = {
    "fetching": _fetching,
    "building": _building,
    "pushing": _sending,
    "manifest": _manifest,
    "list": _list,
    "ledger": _ledger,
    "written": _written,
}


def _until(stage: Stage, sql: str, *values: object) -> None:
    url = stage.appliance.command("database-url").strip()
    deadline = time.monotonic() + RECOVERY_S
    with (
        contextlib.closing(psycopg2.connect(url)) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        while time.monotonic() < deadline:
            cursor.execute(sql, values)
            if cursor.fetchone():
                return
            time.sleep(LOOK_S)
    raise TimeoutError(sql)


# -- what must be left


def _problems(stage: Stage, server: Created) -> list[str]:
    appliance, owner = stage.appliance, stage.appliance.owner
    runs = appliance.query(
        "SELECT status, manifest_tag, manifest_digest FROM build_artifact_runs WHERE server_id = %s",
        server.id,
    )
    if [run[0] for run in runs] != ["succeeded"]:
        return [f"the ledger has {runs}"]
    ((_, tag, digest),) = runs
    problems = []
    repository = f"team/{server.name}"
    # Evidence has tags of its own, named for the digest that it is about.
    tags = [name for name in stage.registry.tags(repository) if not name.startswith("sha256-")]  # fmt: skip
    if tags != [tag]:
        problems.append(f"the registry has {tags}, the ledger {tag}")
    if stage.registry.manifest(repository, digest) is None:
        problems.append(f"the registry has no {digest}")
    listing = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]
    listing += ["--filter", f"label=mcp-host.server={server.id}"]
    listing += ["--filter", f"label=mcp-host.owner={owner}"]
    done = subprocess.run(listing, capture_output=True, text=True, check=True)
    if len(images := done.stdout.split()) != len((AMD, ARM)):
        problems.append(f"images {images}")
    if left := _marked(f"build:{owner}:"):
        problems.append(f"processes {left}")
    if places := [path.name for path in (appliance.home / "data/builds").iterdir()]:
        problems.append(f"directories {places}")
    # Whoever looks into an image has it as a container for a moment, which is none of the server's.
    listing = ["docker", "ps", "-aq", "--filter", "label=mcp-host.instance"]
    listing += ["--filter", f"label=mcp-host.server={server.id}"]
    listing += ["--filter", f"label=mcp-host.owner={owner}"]
    done = subprocess.run(listing, capture_output=True, text=True, check=True)
    if len(containers := done.stdout.split()) != 1:
        problems.append(f"{len(containers)} containers")
    return problems


def _marked(mark: str) -> list[int]:
    """Return the ids of processes that belong to builds."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found
