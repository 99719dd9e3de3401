"""What is served stays served, whatever happens to the box.

Behind the front door (Nginx with TLS, the gateway with two workers) run a stdio server and one of streamable HTTP, which
clients call about a hundred times a second. Meanwhile each process is killed with SIGKILL, one after the other; hub and one
gateway worker are stopped by a signal, as by a debugger that was forgotten; Postgres is away for five minutes; the disk is
full; the clock jumps by three hours either way.

Calls that a killed process was working on cannot be answered by it, and are counted apart. Of all others none may fail.
Supervisord is not killed here: it is kept running by systemd, and takes all with it.

    STAYS_SERVED_POSTGRES_S=20 scripts/prove stays-served       a short form
    STAYS_SERVED_ONLY=worker scripts/prove stays-served         only what has this in its name
    STAYS_SERVED_PATIENCE_S=3600 scripts/prove stays-served     a planted fault: nobody notices what stands still
"""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from appliance.infra.process_facts import born_at
from tests.harness.appliance import Appliance, Created
from tests.harness.constant_calls import Figures, Load, Target
from tests.harness.ports import free_port
from tests.proofs.calls_survive import supervisorctl
from tests.proofs.claim import MissingError, hold
from tests.proofs.memory_at_rest import family
from tests.proofs.needs import need_programs
from tests.proofs.reconcile import FAKES, FAKETIME, _clock, _disk

POSTGRES_AWAY_S = float(os.environ.get("STAYS_SERVED_POSTGRES_S", "300"))
#: Part of the names of what shall happen; empty: all.
ONLY = os.environ.get("STAYS_SERVED_ONLY", "")
#: The least that a setting allows; the proof would only take longer with more.
PATIENCE_S = 5
FULL_S = 15
SETTLE_S = 4
BACK_S = 180
#: Without an answer to anybody.
GAP_S = 1.5
RATE = 100
TAG = "mcp-host-proof/stays-served:1"


@dataclass
class Happening:
    """One thing, and what became of the calls."""

    what: str
    figures: Figures
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Judge."""
        if self.figures.failed:
            self.problems.append(f"{len(self.figures.failed)} calls failed")
        if self.figures.gap_s > GAP_S:
            self.problems.append(f"nobody was answered for {self.figures.gap_s:.1f} s")

    def __str__(self) -> str:
        return f"{self.what:<30} {self.figures}; {'; '.join(self.problems) or 'served'}"


def prove() -> None:
    """Let each thing happen once, under load."""
    need_programs("nginx", "docker", "mount")
    if not FAKETIME.exists():
        raise MissingError(f"{FAKETIME} is not here: apt-get install libfaketime")
    https = free_port()
    with (
        _disk() as disk,
        _clock() as clock,
        Appliance.temporary(
            gw_workers=2,
            data_dir=disk / "data",
            proxy_enabled="true",
            proxy_http_port=free_port(),
            proxy_https_port=https,
            proxy_bind_addresses="127.0.0.1",
            watchdog_patience=os.environ.get("STAYS_SERVED_PATIENCE_S", PATIENCE_S),
            build_min_free_gib=0,
            ld_preload=FAKETIME,
            faketime_timestamp_file=clock,
            faketime_no_cache=1,
            faketime_dont_fake_monotonic=1,
        ) as appliance,
    ):
        box = Box(appliance, disk, clock, https)
        box.host()
        with box.load() as load:
            assert load.wait_answered(50, within_s=BACK_S), appliance.logs()
            seen = [
                box.happens(load, what, thing)
                for what, thing in box.things()
                if ONLY in what
            ]
    broken = [item.what for item in seen if item.problems]
    answered = sum(item.figures.answered for item in seen)
    inside = sum(item.figures.inside for item in seen)
    failed = sum(len(item.figures.failed) for item in seen)
    gap_s = max((item.figures.gap_s for item in seen), default=0)
    hold(
        not broken,
        f"{len(seen)} things happened, {answered} calls answered, {inside} were inside what was killed,"
        f" {failed} others failed; longest gap {gap_s:.2f} s; broken: {', '.join(broken) or 'none'}",
    )


class Box:
    """One appliance with its front door, and what happens to it."""

    def __init__(self, appliance: Appliance, disk: Path, clock: Path, https: int) -> None:  # fmt: skip
        self.appliance = appliance
        self._disk = disk
        self._clock = clock
        self._https = https
        self._struck_at = 0.0
        self._servers: list[tuple[Created, str, dict[str, Any]]] = []

    def host(self) -> None:
        """Bring up the servers."""
        image = _image(self.appliance.warm_up())
        create = self.appliance.create
        stdio = create("by-stdio", image=image, arguments=["python3", "/mcp_stdio.py"])
        http = create(
            "by-http",
            image=image,
            arguments=["python3", "/mcp_plain_http.py"],
            transport="streamable-http",
        )
        for server in (stdio, http):
            self.appliance.wait_running(server)
        call: dict[str, Any] = {"name": "echo", "arguments": {"text": "here"}}
        self._servers = [(stdio, "tools/call", call), (http, "tools/list", {})]

    def load(self) -> Load:
        """Return clients that come through the front door."""
        root = self._disk / "data/proxy/own-ca/root.pem"
        context = ssl.create_default_context(cafile=str(root))
        # It is called by its address, of which the box's certificate may say nothing.
        context.check_hostname = False
        base = f"https://127.0.0.1:{self._https}"
        targets = [
            Target(f"{base}/servers/{server.name}/mcp", server.key, method, params)
            for server, method, params in self._servers
        ]
        return Load(targets, rate=RATE, context=context)

    def things(self) -> list[tuple[str, Callable[[], None]]]:
        """Return what happens, in order."""
        pids, kill = self.appliance.pids, self._kill
        return [
            ("Nginx worker killed", lambda: kill(self._nginx_worker())),
            ("Nginx master killed", lambda: kill(self.appliance.pid("nginx"))),
            ("first gateway worker killed", lambda: kill(pids("workers")[0])),
            ("second gateway worker killed", lambda: kill(pids("workers")[1])),
            ("bridge killed", lambda: kill(pids("bridge")[0])),
            ("scribe killed", lambda: kill(self._scribe())),
            ("gateway master killed", lambda: kill(self.appliance.pid("gateway"))),
            ("egress killed", lambda: kill(self.appliance.pid("egress"))),
            ("hub killed", lambda: kill(self.appliance.pid("hub"))),
            ("proxy controller killed", lambda: kill(self.appliance.pid("proxy"))),
            ("Postgres killed", lambda: kill(self.appliance.pid("postgres"))),
            ("hub stopped by a signal", self._stop_hub),
            ("gateway worker stopped", self._stop_worker),
            (f"Postgres away for {POSTGRES_AWAY_S:.0f} s", self._without_postgres),
            (f"disk full for {FULL_S} s", self._full),
            ("clock 3 hours ahead", lambda: self._jump("+3h")),
            ("clock 3 hours back", lambda: self._jump("+0")),
        ]  # fmt: skip

    def happens(self, load: Load, what: str, thing: Callable[[], None]) -> Happening:
        """Let it happen, and wait until the box is as it was."""
        self._struck_at = time.monotonic()
        problems = []
        try:
            thing()
            if not load.wait_answered(RATE, within_s=BACK_S):
                problems.append("calls did not come back")
            self._wait_well()
        except (TimeoutError, LookupError) as error:
            problems.append(str(error)[:200])
        time.sleep(SETTLE_S)
        happening = Happening(what, load.since(self._struck_at), problems)
        print(happening, flush=True)
        return happening

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        # Until it has ended it holds its connections, and what is sent to it by them: on a busy box for some milliseconds.
        while born_at(pid) is not None:
            time.sleep(0.001)
        self._struck_at = time.monotonic()
        time.sleep(1)

    def _nginx_worker(self) -> int:
        return family(self.appliance.pid("nginx"))[1]

    def _scribe(self) -> int:
        for pid in family(self.appliance.pid("gateway")):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "mcp-scribe":
                return pid
        raise LookupError("there is no scribe")

    def _stop_hub(self) -> None:
        self._stop(self.appliance.pid("hub"))

    def _stop_worker(self) -> None:
        self._stop(self.appliance.pids("workers")[0])

    def _stop(self, pid: int) -> None:
        """Stop a process, and wait until somebody noticed: it goes on, or another is there instead."""
        self._struck_at = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        stat = Path(f"/proc/{pid}/stat")
        deadline = time.monotonic() + BACK_S
        time.sleep(0.2)
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "T":
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGCONT)
                raise TimeoutError(f"nobody noticed within {BACK_S} s that it stood still")  # fmt: skip
            time.sleep(0.1)

    def _without_postgres(self) -> None:
        supervisorctl(self.appliance, "stop", "postgres")
        time.sleep(POSTGRES_AWAY_S)
        # libfaketime, which sets the clock, has programs fail at their start now and then, most of all on a busy box: a poll
        # ends with EINVAL, a semaphore is another user's. Supervisord tries again by itself.
        with suppress(subprocess.CalledProcessError):
            supervisorctl(self.appliance, "start", "postgres")

    def _full(self) -> None:
        filler = self._disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass  # which is what was wanted
        time.sleep(FULL_S)
        filler.unlink()

    def _jump(self, offset: str) -> None:
        self._clock.write_text(offset)
        time.sleep(SETTLE_S)

    def _wait_well(self) -> None:
        """Wait until every program runs and the hub can work."""
        deadline = time.monotonic() + BACK_S
        while True:
            states = [line.split()[1] for line in self.appliance.command("status").splitlines()]  # fmt: skip
            if set(states) == {"RUNNING"} and self._is_ready():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not well after {BACK_S} s: {states}")
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        try:
            return self.appliance.raw("GET", "/readyz").is_success
        except httpx.HTTPError:
            return False


def _image(base: str) -> str:
    """Make the image of the servers."""
    with tempfile.TemporaryDirectory() as context:
        lines = [f"FROM {base}", "ENTRYPOINT []"]
        for name in ("mcp_stdio.py", "mcp_plain_http.py"):
            shutil.copy(FAKES / name, context)
            lines.append(f"COPY {name} /{name}")
        (Path(context) / "Dockerfile").write_text("\n".join(lines))
        build = ["docker", "build", "--quiet", "--tag", TAG, context]
        subprocess.run(build, check=True, capture_output=True)
    return TAG
