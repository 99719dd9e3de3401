"""What the appliance adds to a build for two platforms: its own against two parallel ``docker buildx build --push`` by hand.

Both clone the same repository, whose last step neither has seen before, build it on steps that both have in their cache, and
push to the same registry. The appliance's time is that of its build, from the first row to the last: its turn, the checkout
with its checks, both images, both pushes, the list, reading all of it back, and the ledger. By hand there is a plain clone,
and no list and no ledger. Rounds alternate, and medians are compared.
"""

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from tests.fakes.git_http import GitServer, git_server
from tests.fakes.tiny import AMD, ARM, fresh, tiny_server
from tests.harness.appliance import Appliance, Created
from tests.harness.registry import Registry, registry
from tests.proofs.claim import hold

LIMIT = 1.05
ROUNDS = 5
#: Work for a processor and a layer of some size, as a small installation is: a second natively, ten by emulation.
WORK = "RUN head -c 8000000 /dev/urandom > /layer && gzip -c /layer | md5sum"
BUILD_S = 300.0


@dataclass
class Bench:
    """Both ways of building."""

    appliance: Appliance
    repositories: GitServer
    registry: Registry
    server: Created
    database: Any

    def by_appliance(self, number: int) -> float:
        """Return the seconds of one build."""
        self._commit(number)
        self.appliance.api("POST", f"/api/servers/{self.server.id}/redeploy")
        return self.built(number + 1)

    def by_hand(self, number: int) -> float:
        """Return the seconds of two builds at once."""
        url = self._commit(number)
        tree = self.repositories.root / "by-hand"
        shutil.rmtree(tree, ignore_errors=True)
        started = time.monotonic()
        clone = ["git", "clone", "--quiet", "--depth=1", url, str(tree)]
        subprocess.run(clone, check=True)
        builds = [
            subprocess.Popen(
                self._command(platform, tree),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for platform in (AMD, ARM)
        ]
        errors = [build.communicate()[1] for build in builds]
        took = time.monotonic() - started
        if any(build.returncode for build in builds):
            raise RuntimeError(b"\n".join(errors).decode()[-600:])
        return took

    def _command(self, platform: str, tree: Path) -> list[str]:
        tag = self._tag(platform)
        options = ["--builder", "default", "--progress=plain", "--push"]
        return ["docker", "buildx", "build", *options, f"--platform={platform}", f"--tag={tag}", str(tree)]  # fmt: skip

    def _tag(self, platform: str) -> str:
        return f"{self.registry.host}/hand/work:{platform.rpartition('/')[2]}"

    def clear(self) -> None:
        """Remove the images that were built by hand."""
        listing = ["docker", "images", "-q", f"{self.registry.host}/hand/work"]
        found = subprocess.run(listing, capture_output=True, text=True, check=True)
        command = ["docker", "rmi", "-f", *set(found.stdout.split())]
        subprocess.run(command, check=False, capture_output=True)

    def _commit(self, number: int) -> str:
        return self.repositories.add(
            "work", tiny_server(fresh(WORK)) | {"round": f"{number} {time.monotonic()}"}
        )

    def built(self, count: int) -> float:
        """Wait for the build of that number and for what follows it; return the build's seconds."""
        (took,) = self._until(
            "SELECT extract(epoch FROM finished_at - started_at) FROM builds WHERE server_id = %s AND state <> 'running'"
            " ORDER BY id OFFSET %s",
            self.server.id,
            count - 1,
        )
        self._settle()
        return float(took)

    def _until(self, sql: str, *values: object) -> tuple[Any, ...]:
        """Ask until there is a row, and return it."""
        deadline = time.monotonic() + BUILD_S
        with self.database.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute(sql, values)
                if row := cursor.fetchone():
                    return tuple(row)
                time.sleep(0.5)
        raise TimeoutError(sql)

    def _settle(self) -> None:
        """Wait until the new version serves and its evidence is there, so that none of it is in the next round."""
        self.appliance.wait_running(self.server)
        self._until(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' OR state = 'queued' AND run_at < now())"
        )
        time.sleep(1)


def prove() -> None:
    """Build in turns."""
    with _bench() as bench:
        bench.by_hand(0)
        own, hand = [], []
        for number in range(1, ROUNDS + 1):
            own.append(bench.by_appliance(number))
            hand.append(bench.by_hand(number))
            print(f"round {number}: appliance {own[-1]:.2f} s, by hand {hand[-1]:.2f} s")  # fmt: skip
    ratio = statistics.median(own) / statistics.median(hand)
    hold(
        ratio <= LIMIT,
        f"{ratio:.3f} times by hand (at most {LIMIT}): medians {statistics.median(own):.2f} s and"
        f" {statistics.median(hand):.2f} s of {ROUNDS} rounds, two platforms",
    )


@contextmanager
def _bench() -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        repositories = stack.enter_context(git_server(home))
        kept = stack.enter_context(registry("none"))
        appliance = stack.enter_context(
            Appliance.temporary(
                registry=f"{kept.host}/team", registry_arch_targets=f"{AMD},{ARM}"
            )
        )
        url = repositories.add("work", tiny_server(fresh(WORK)))
        server = appliance.create("work", repo_url=url)
        address = appliance.command("database-url").strip()
        database = stack.enter_context(contextlib.closing(psycopg2.connect(address)))
        database.autocommit = True
        bench = Bench(appliance, repositories, kept, server, database)
        stack.callback(bench.clear)
        bench.built(1)
        yield bench
