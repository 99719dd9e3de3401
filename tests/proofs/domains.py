"""One more domain among 5,000, and everything that changes at the front door while calls go on.

A real Nginx with TLS before a real gateway with two workers. What is timed begins before the transaction that has a name
served, and ends with the first answer of the server under that name, on a new connection whose certificate is checked.
"""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from appliance.certificates.first import CaFile
from appliance.certificates.own_ca import OwnCa
from appliance.certificates.shelf import Shelf
from appliance.core.clock import now
from appliance.core.front_door import CERTIFICATES
from appliance.domains import store
from appliance.domains.model import Proof, TxtBecause
from appliance.infra.database import Database
from appliance.infra.handed_files import Reader
from appliance.infra.sealing import Sealer
from appliance.observability import logs
from appliance.proxy import nginx
from appliance.proxy.reloading import reload
from tests.bench.load import HERE as BENCH
from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import ROOT, Box, wait_until
from tests.harness.front_door import NAME, FrontDoor, front_door
from tests.harness.ports import free_port
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

DOMAINS, ADDED = 5_000, 40
LIMIT_MS = 50.0
CHANGES, RENEWALS, RELOADS = 20, 5, 3
CLIENTS = 16
LOADED = "loaded.acme.com"
#: Longer than all that happens meanwhile.
LOAD_S = 45
#: New connections in a row that have to be served for all workers to be taken to know a name.
IN_A_ROW = 12
BODY = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"x"}}}'


@dataclass
class Stage:
    """A front door, the gateway behind it, and one server."""

    door: FrontDoor
    box: Box
    database: Database
    shelf: Shelf
    own: OwnCa
    trusted: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        """Trust the box's own authority, as a client that was given its root."""
        self.trusted = ssl.create_default_context(cadata=self.own.certificate)

    def call(self, host: str) -> int:
        """Call the server's tool under a name on a new connection; returns the status.

        Raises:
            OSError: The connection failed, or its certificate is not for the name.
        """
        with (
            socket.create_connection(("127.0.0.1", self.door.https), timeout=5) as raw,
            self.trusted.wrap_socket(raw, server_hostname=host) as tls,
        ):
            tls.sendall(_request(host, self.box.key))
            return int(tls.recv(65536).split(b" ", 2)[1])

    def lay(self, host: str) -> None:
        """Lay down a new certificate for a name, as the keeper does."""
        self.shelf.put(host, self.own.issue([host], now()), now())

    def claim(self, host: str) -> int:
        """Take in a claim that nobody looked at yet; returns its number."""

        def write() -> int:
            row = self.database.peewee.execute_sql("SELECT id FROM servers").fetchone()
            return store.add(
                row[0], host, challenge="", because=TxtBecause.NONE, created_by="proof"
            ).id

        return self.database.run_blocking(write)

    def serve(self, number: int) -> None:
        """Have a claim served, as the checker does once DNS has shown it."""

        def write() -> None:
            domain = store.find(number, locked=True)
            assert domain is not None
            store.verify(domain, Proof.ADDRESS)

        self.database.run_blocking(write)

    def nginx_now(self) -> tuple[int | None, frozenset[int]]:
        """Return Nginx's processes: a reload exchanges the workers."""
        return nginx.master(self.door.places), nginx.workers(self.door.places)


def prove() -> None:
    """Measure additions one by one, then everything at once under load."""
    need_programs("nginx", "wrk")
    logs.configure("warning", "console")
    with _stage() as stage:
        _fill(stage)
        before = stage.nginx_now()
        rows = [_added(stage, number) for number in range(ADDED)]
        is_same = stage.nginx_now() == before
        first, everywhere = ([row[item] for row in rows] for item in (0, 1))
        _tell("to the first answer", first)
        _tell("until every worker answers", everywhere)
        load = _under_load(stage)
    slowest = f"{max(first):.1f} ms, at most {LIMIT_MS:.0f}"
    hold(
        max(first) <= LIMIT_MS,
        f"the slowest of {ADDED} additions to {DOMAINS} took {slowest}",
    )
    hold(is_same, f"Nginx's processes are the same after {ADDED} additions: {is_same}")
    hold(
        load.failed == 0 and load.fresh_failed == 0,
        f"{load.calls} calls on {CLIENTS} kept connections: {load.failed} failed;"
        f" {load.fresh} on new ones: {load.fresh_failed} failed{load.why}",
    )
    hold(load.serials >= RENEWALS, f"{load.serials} certificates of {LOADED} were seen, {RENEWALS} renewals")  # fmt: skip


def _added(stage: Stage, number: int) -> tuple[float, float]:
    """Return the milliseconds until a new name was served, and until it always was."""
    host = f"new{number}.acme.com"
    claim = stage.claim(host)
    stage.lay(host)
    assert stage.call(host) != 200, "nobody has shown whose it is"
    began = time.perf_counter()
    stage.serve(claim)
    while stage.call(host) != 200:
        pass
    first = last = time.perf_counter()
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        if stage.call(host) == 200:
            in_a_row += 1
        else:
            in_a_row, last = 0, time.perf_counter()
    return (first - began) * 1000, (last - began) * 1000


@dataclass
class Load:
    """What became of the calls meanwhile."""

    calls: int = 0
    failed: int = 0
    fresh: int = 0
    fresh_failed: int = 0
    serials: int = 0
    why: str = ""


def _under_load(stage: Stage) -> Load:
    """Change names, renew certificates and reload Nginx while wrk calls, and others on a new connection each time."""
    load, over = Load(), threading.Event()
    others = threading.Thread(target=_call_anew, args=(stage, load, over))
    began = time.monotonic()
    with _wrk(stage) as wrk:
        others.start()
        try:
            _disturb(stage)
        finally:
            took = time.monotonic() - began
            output, _ = wrk.communicate()
            over.set()
            others.join()
    assert took < LOAD_S, f"what happens meanwhile took {took:.0f} s"
    figures = output.decode().rpartition("FIGURES ")[2].split()
    load.calls, load.failed = int(figures[4]), int(figures[3])
    print(
        f"{CHANGES} changes, {RENEWALS} renewals and {RELOADS} reloads in {took:.1f} s of {LOAD_S} s;"
        f" {float(figures[0]):.0f} calls/s, p99 {float(figures[2]):.1f} ms"
    )
    return load


def _disturb(stage: Stage) -> None:
    names = [f"meanwhile{number}.acme.com" for number in range(CHANGES // 2)]
    claims = [stage.claim(name) for name in names]
    for number in range(max(CHANGES // 2, RENEWALS)):
        stage.lay(names[number])
        stage.serve(claims[number])
        if number < RENEWALS:
            stage.lay(LOADED)
        if number % 3 == 0 and number // 3 < RELOADS:
            took, workers = asyncio.run(_reload(stage))
            print(f"reload {number // 3 + 1}: {took:.1f} s, workers {workers}", flush=True)  # fmt: skip
        time.sleep(0.5)
    for claim in claims[: CHANGES // 4]:
        stage.database.run_blocking(store.change, claim, redirect_to=LOADED)
    for claim in claims[CHANGES // 4 :]:
        found = stage.database.run_blocking(store.find, claim)
        assert found is not None
        stage.database.run_blocking(store.remove, found)


async def _reload(stage: Stage) -> tuple[float, str]:
    places = stage.door.places
    old = nginx.workers(places)
    serving = await nginx.answering(places)
    assert serving is not None
    took = await reload(
        places, serving.generation, ports=(stage.door.http, stage.door.https)
    )
    new = nginx.workers(places) - old
    assert new, "nothing was reloaded"
    return took, f"{sorted(old)} → {sorted(new)}"


def _call_anew(stage: Stage, load: Load, over: threading.Event) -> None:
    """Call on a new connection each time, and look at what certificate is shown."""
    seen: set[bytes] = set()
    while not over.wait(0.02):
        load.fresh += 1
        try:
            with (
                socket.create_connection(("127.0.0.1", stage.door.https), timeout=5) as raw,
                stage.trusted.wrap_socket(raw, server_hostname=LOADED) as tls,
            ):  # fmt: skip
                seen.add(tls.getpeercert(binary_form=True) or b"")
                tls.sendall(_request(LOADED, stage.box.key))
                status = int(tls.recv(65536).split(b" ", 2)[1])
        except (OSError, IndexError, ValueError) as error:
            load.fresh_failed += 1
            load.why = f" ({type(error).__name__}: {error})"
        else:
            load.fresh_failed += status != 200
    load.serials = len(seen)


def _request(host: str, key: str) -> bytes:
    return (
        f"POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nConnection: close\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY


def _tell(what: str, milliseconds: list[float]) -> None:
    least, most = min(milliseconds), max(milliseconds)
    print(
        f"{what}: min {least:.1f}, median {median(milliseconds):.1f}, max {most:.1f} ms",
        flush=True,
    )


# -- the stage


@contextmanager
def _wrk(stage: Stage) -> Iterator["subprocess.Popen[bytes]"]:
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{LOAD_S}s", "-s", str(BENCH / "call.lua")]  # fmt: skip
    with subprocess.Popen(
        [*command, f"https://localhost:{stage.door.https}/mcp"],
        env=os.environ | {"KEY": stage.box.key, "HOST": LOADED},
        stdout=subprocess.PIPE,
    ) as running:
        yield running


def _fill(stage: Stage) -> None:
    """Have 5,000 names served, each with a file of its own."""
    filler = stage.own.issue(["filler.acme.com"], now())
    text = filler.chain.encode() + filler.key
    place = stage.door.settings.proxy_dir / CERTIFICATES
    for number in range(DOMAINS):
        path = place / f"filler{number}.acme.com.pem"
        path.write_bytes(text)
        path.chmod(0o644)
    stage.lay(LOADED)
    stage.lay(f"filler{DOMAINS - 1}.acme.com")
    stage.box.execute(
        "INSERT INTO domains (server_id, host, challenge, verified_by, verified_at, status, created_by)"
        " SELECT s.id, host, '', 'txt', now(), 'active', 'proof' FROM servers s, (SELECT %s AS host UNION ALL"
        " SELECT 'filler' || n || '.acme.com' FROM generate_series(0, %s) AS n) AS names",
        LOADED,
        DOMAINS - 1,
    )
    for host in (LOADED, f"filler{DOMAINS - 1}.acme.com"):
        wait_until(lambda host=host: stage.call(host) == 200, f"{host} is served")


@contextmanager
def _stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="dm-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o755)
        port = free_port()
        server = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.upstream", str(port)], cwd=ROOT
            )
        )
        stack.callback(server.kill)
        cluster = stack.enter_context(throw_away_cluster())
        box = Box(
            cluster.url(),
            home / "gateway",
            gw_workers=2,
            proxy_enabled=True,
            public_url=f"https://{NAME}",
        )
        box.migrate()
        box.start()
        stack.callback(box.stop)
        box.host_http("echo", f"http://127.0.0.1:{port}/mcp")
        door = stack.enter_context(
            front_door(
                home / "door",
                mcp_gateway_url=box.url,
                proxy_requests_per_second=0,
                proxy_connections_per_address=0,
            )
        )
        settings = door.settings
        database = Database(cluster.url(), size=2)
        stack.enter_context(closing(database))
        reader = Reader.named(settings.proxy_user)
        own = CaFile(settings.proxy_dir, Sealer(*settings.jwt_secrets)).ensure()
        yield Stage(door, box, database, Shelf(settings.proxy_dir, reader), own)
