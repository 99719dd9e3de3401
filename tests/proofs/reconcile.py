"""What happens to a box at night, and what is there afterwards.

Three servers run: one over stdio, one over stdio with a container a session, one over streamable HTTP. Then the engine is
restarted, killed, and stopped for a minute; containers are removed by hand; the clock jumps; the disk is full. After each,
every server must answer a client again by itself; at no time may two containers of one server run. What cannot be done
meanwhile has to be said: ``/readyz`` names the engine that is away, and the disk that is full.

The engine is one of the proof's own (``tests/harness/own_engine.py``), the clock is that of the appliance's processes
(libfaketime, beside the monotonic clock), and the disk is a small file system in memory that holds all of its data.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from appliance.core import labels
from tests.harness.appliance import Appliance, Created
from tests.harness.mcp import HttpMcp
from tests.harness.own_engine import OwnEngine, own_engine
from tests.proofs.claim import MissingError, hold
from tests.proofs.needs import need_programs

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
AWAY_S = 60
BACK_S = 120
FULL_S = 20
DISK = "1g"
FAKES = Path(__file__).parent.parent / "fakes"


def prove() -> None:
    """Let each thing happen once."""
    need_programs("dockerd", "docker", "ip", "mount")
    if not FAKETIME.exists():
        raise MissingError(f"{FAKETIME} is not here: apt-get install libfaketime")
    with own_engine() as engine, _disk() as disk, _clock() as clock:
        image = _image()
        engine.take_over(image)
        os.environ["DOCKER_HOST"] = engine.host  # for what asks the engine on the way
        with Appliance.temporary(
            docker_host=engine.host,
            data_dir=disk / "data",
            # Apart from those that the box's own engine gives out.
            server_subnet_pool="10.220.0.0/18",
            build_min_free_gib=0,
            ld_preload=FAKETIME,
            faketime_timestamp_file=clock,
            faketime_no_cache=1,
            faketime_dont_fake_monotonic=1,
            bind_address="127.0.0.1",
        ) as appliance:
            night = Night(appliance, engine, disk, clock)
            night.host(image)
            with Census(engine, appliance.owner) as census:
                verdicts = [night.happens(*item) for item in night.things()]
            for verdict in verdicts:
                print(verdict)
            twins = {name: most for name, most in census.most.items() if most > 1}
            broken = [item.what for item in verdicts if item.problems]
            slowest = max(item.back_s for item in verdicts)
            hold(
                not broken and not twins and census.counts > 0,
                f"{len(verdicts)} things happened to {len(night.servers)} servers, all back after at most {slowest:.1f} s;"
                f" two of one seen in {len(twins)} of {census.counts} counts; broken: {', '.join(broken) or 'none'}",
            )


@dataclass
class Verdict:
    """What one thing did."""

    what: str
    back_s: float = 0.0
    said: str = ""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "; ".join(self.problems) or "all back"
        return f"{self.what:<34} {self.back_s:5.1f} s  {verdict}  {self.said[:110]}".rstrip()


class Night:
    """One appliance, and what happens to its box."""

    def __init__(
        self, appliance: Appliance, engine: OwnEngine, disk: Path, clock: Path
    ) -> None:
        self.appliance = appliance
        self.servers: list[Created] = []
        self._engine = engine
        self._disk = disk
        self._clock = clock

    def host(self, image: str) -> None:
        """Bring up the servers."""
        create = self.appliance.create
        stdio = ["python3", "/mcp_stdio.py"]
        self.servers = [
            create("shared", image=image, arguments=stdio),
            create("apart", image=image, arguments=stdio, session_mode="per-session"),
            create(
                "over-http",
                image=image,
                arguments=["python3", "/mcp_plain_http.py"],
                transport="streamable-http",
            ),
        ]
        for server in self.servers:
            self.appliance.wait_running(server)
            _call(server)

    def things(self) -> list[tuple[str, Callable[[], str]]]:
        """Return what happens, in order."""
        return [
            ("engine restarted", self._restart),
            ("engine killed", self._kill),
            (f"engine away for {AWAY_S} s", self._away),
            ("containers removed by hand", self._remove),
            ("clock jumped 3 hours ahead", lambda: self._jump("+3h")),
            ("clock jumped 3 hours back", lambda: self._jump("+0")),
            (f"disk full for {FULL_S} s", self._fill),
        ]

    def happens(self, what: str, thing: Callable[[], str]) -> Verdict:
        """Let it happen, and see whether everything comes back."""
        verdict = Verdict(what, said=thing())
        if verdict.said.startswith("!"):
            verdict.problems.append(verdict.said[1:])
        started = time.monotonic()
        for server in self.servers:
            if problem := _comes_back(server, started + BACK_S):
                verdict.problems.append(f"{server.name}: {problem}")
        verdict.back_s = time.monotonic() - started
        return verdict

    def _restart(self) -> str:
        self._engine.stop()
        self._engine.start()
        return ""

    def _kill(self) -> str:
        self._engine.kill()
        self._engine.start()
        return ""

    def _away(self) -> str:
        self._engine.stop()
        time.sleep(AWAY_S - 5)
        said = self._ready("engine")
        time.sleep(5)
        self._engine.start()
        return said

    def _remove(self) -> str:
        label = f"label={labels.OWNER}={self.appliance.owner}"
        found = self._engine.docker("ps", "-aq", "--filter", label).split()
        self._engine.docker("rm", "-f", *found)
        return f"{len(found)} containers"

    def _jump(self, offset: str) -> str:
        self._clock.write_text(offset)
        label = f"label={labels.OWNER}={self.appliance.owner}"
        found = self._engine.docker("ps", "-q", "--filter", label).split()
        # Whoever counts crashes and pauses by the clock has to do so now.
        self._engine.docker("kill", found[0])
        return f"and {found[0]} killed"

    def _fill(self) -> str:
        filler = self._disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass
        label = f"label={labels.OWNER}={self.appliance.owner}"
        found = self._engine.docker("ps", "-q", "--filter", label).split()
        self._engine.docker("kill", *found)
        time.sleep(FULL_S)
        said = self._ready("disk")
        filler.unlink()
        return said

    def _ready(self, part: str) -> str:
        """Return what ``/readyz`` says is wrong; with ``!`` before it if it says nothing of ``part``."""
        answer = httpx.get(f"{self.appliance.url}/readyz", timeout=30)
        wrong = [item for item in answer.json()["parts"] if item["state"] != "ok"]
        told = "; ".join(f"{item['name']}: {item['text']}" for item in wrong)
        names = {item["name"] for item in wrong}
        return told if part in names else f"!said: {told}"


class Census:
    """Counts the running containers of each server, all the time."""

    def __init__(self, engine: OwnEngine, owner: str) -> None:
        self.most: Counter[str] = Counter()
        self.counts = 0
        self._engine = engine
        self._owner = owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        own = [f"label={labels.OWNER}={self._owner}", f"label={labels.INSTANCE}"]
        filters = [word for item in own for word in ("--filter", item)]
        template = " ".join(
            f'{{{{.Label "{name}"}}}}' for name in (labels.SERVER, labels.SESSION)
        )
        while not self._stop.wait(0.3):
            try:
                printed = self._engine.docker("ps", *filters, "--format", template)
            except RuntimeError:
                continue  # it is away
            self.counts += 1
            # Containers of single sessions are no second one of the server's.
            now = Counter(
                line.strip() for line in printed.splitlines() if line.strip().isdigit()
            )
            self.most |= now


def _comes_back(server: Created, deadline: float) -> str:
    """Wait until a client is answered; return what it got to the end if it is not."""
    while True:
        try:
            _call(server)
        except (httpx.HTTPError, AssertionError, KeyError, RuntimeError) as error:
            if time.monotonic() > deadline:
                return f"no answer after {BACK_S} s: {error}"[:300]
            time.sleep(0.3)
        else:
            return ""


def _call(server: Created) -> None:
    with HttpMcp(server.endpoint, server.key, timeout_s=20) as client:
        client.initialize()
        assert client.request("tools/list")["tools"]


def _image() -> str:
    """Make the image of the servers on the box's own engine, which has the base or can make it."""
    with Appliance.temporary() as appliance:
        base = appliance.warm_up()
    tag = "mcp-host-proof/reconcile:1"
    with tempfile.TemporaryDirectory() as context:
        lines = [f"FROM {base}", "ENTRYPOINT []"]
        for name in ("mcp_stdio.py", "mcp_plain_http.py"):
            shutil.copy(FAKES / name, context)
            lines.append(f"COPY {name} /{name}")
        (Path(context) / "Dockerfile").write_text("\n".join(lines))
        build = ["docker", "build", "--quiet", "--tag", tag, context]
        subprocess.run(build, check=True, capture_output=True)
    return tag


@contextmanager
def _disk() -> Iterator[Path]:
    """Give a small disk that can be filled."""
    place = Path(tempfile.mkdtemp(prefix="mcp-host-disk-", dir="/var/tmp"))
    options = ["-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        place.rmdir()


@contextmanager
def _clock() -> Iterator[Path]:
    """Give the file that tells the appliance's clock how far it is off."""
    with tempfile.TemporaryDirectory(prefix="mcp-host-clock-", dir="/var/tmp") as home:
        Path(home).chmod(0o755)
        path = Path(home) / "offset"
        path.write_text("+0")
        path.chmod(0o644)
        done = threading.Event()
        sweeper = threading.Thread(target=_sweep_clocks, args=(done,))
        sweeper.start()
        try:
            yield path
        finally:
            done.set()
            sweeper.join()


def _sweep_clocks(done: threading.Event) -> None:
    """Remove what libfaketime leaves of processes that were killed: a later one of the same number would end at once."""
    while not done.wait(0.5):
        for path in Path("/dev/shm").glob("*faketime_*"):
            if not Path(f"/proc/{path.name.rpartition('_')[2]}").exists():
                path.unlink(missing_ok=True)
