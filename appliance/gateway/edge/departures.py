"""What workers still carry at instances that clients are no longer sent to.

Nothing is counted while calls pass: once the routing table names an instance that is left, each worker looks through its open
connections a few times a second and writes what it finds into a file of its own, which it holds a lock on. Whoever reads the
files knows by the locks which workers live, also those that were replaced and end their last calls. A worker whose file does
not name the instance has not heard yet that it is left.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.gateway.edge.call import Call
from appliance.gateway.http.listener import Connection
from appliance.gateway.routes import RoutingTable

LOOK_EVERY_S = 0.25
_BYTES = 4 * 1024 * 1024


class Report(msgspec.Struct, frozen=True):
    """What one worker carries."""

    #: Calls and streams, by instance that is left.
    counts: dict[int, tuple[int, int]] = {}
    #: Sessions that have a call in flight there.
    busy: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Found:
    """What all workers together say of one instance."""

    #: Whether every worker knows that it is left.
    is_left: bool
    calls: int
    streams: int


class Departures:
    """One worker's part.

    Args:
        directory: Where the workers' files are.
    """

    def __init__(self, directory: Path) -> None:
        """Have a file before the first call is carried."""
        self._directory = directory
        self._connections: Collection[Connection] = ()
        self._left: frozenset[int] = frozenset()
        self._looking: asyncio.Task[None] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / str(os.getpid())
        scratch = path.with_suffix(".new")
        self._file = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        scratch.rename(path)

    def watch(self, connections: Collection[Connection]) -> None:
        """Look through these from now on."""
        self._connections = connections
        self._look_on()

    def changed(self, table: RoutingTable) -> None:
        """Take in which instances are left."""
        self._left = frozenset(
            number for number, route in table.beside.items() if route.is_leaving
        )
        self._look_on()

    def close(self) -> None:
        """Leave no file behind."""
        if self._looking is not None:
            self._looking.cancel()
        with contextlib.suppress(FileNotFoundError):
            (self._directory / str(os.getpid())).unlink()
        os.close(self._file)

    def _look_on(self) -> None:
        if self._left and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self._left:
            exchanges = [item.exchange for item in self._connections]
            calls = at_instances(exchanges, self._left)
            self._write(report(calls, self._left))
            if streams := [call for call in calls if is_stream(call)]:
                reports = await asyncio.to_thread(read_all, self._directory)
                move_on(streams, reports)
            await asyncio.sleep(LOOK_EVERY_S)
        self._write(Report())

    def _write(self, told: Report) -> None:
        # A page in memory: no waiting.
        line = msgspec.json.encode(told) + b"\n"
        os.pwrite(self._file, line, 0)
        os.ftruncate(self._file, len(line))


def at_instances(exchanges: Iterable[object], instances: Collection[int]) -> list[Call]:
    """Return the calls among ``exchanges`` that are not over and go on at one of ``instances``."""
    return [
        item
        for item in exchanges
        if isinstance(item, Call)
        and not (item.is_over or item.plan.route.bundle_id)
        and item.plan.route.instance_id in instances
    ]


def is_stream(call: Call) -> bool:
    """Whether it lasts until somebody ends it, and comes straight from its server."""
    return call.deadline is None and call.is_direct


def report(calls: Iterable[Call], instances: Iterable[int]) -> Report:
    """Return what there is at each instance."""
    counts, busy = dict.fromkeys(instances, (0, 0)), set()
    for call in calls:
        number = call.plan.route.instance_id or 0
        running, streams = counts[number]
        lasts = call.deadline is None
        counts[number] = running + (not lasts), streams + lasts
        if not lasts:
            busy.add(_session(call))
    return Report(counts, frozenset(busy))


def move_on(streams: Iterable[Call], reports: Collection[Report]) -> None:
    """End streams, whose clients open them again, at the new instance; but only when everybody knows the new one.

    Not those of sessions that have a call in flight: a server may ask something on the stream while it works on the call.
    """
    busy = frozenset().union(*(item.busy for item in reports))
    for call in streams:
        number = call.plan.route.instance_id
        is_known = all(number in item.counts for item in reports)
        if is_known and _session(call) not in busy:
            call.move_on()


def _session(call: Call) -> int:
    """Return what tells a session from others; streams without one belong to nobody's calls."""
    plan, lasts = call.plan, call.deadline is None
    upstream_id = plan.session.upstream_id or f"{'stream' if lasts else 'call'}"
    text = f"{plan.principal}\0{upstream_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest())


def found(directory: Path, instance_id: int) -> Found:
    """Return what all living workers say of an instance. Blocking."""
    reports = read_all(directory)
    counts = [item.counts.get(instance_id, (0, 0)) for item in reports]
    return Found(
        is_left=all(instance_id in item.counts for item in reports),
        calls=sum(calls for calls, _ in counts),
        streams=sum(streams for _, streams in counts),
    )


def read_all(directory: Path) -> list[Report]:
    """Return what each living worker wrote. Blocking."""
    found = [_read(path) for path in directory.iterdir() if path.name.isdigit()]
    return [item for item in found if item is not None]


def _read(path: Path) -> Report | None:
    """Return what a worker wrote, nothing where it is just writing; ``None``: the worker is gone."""
    try:
        with path.open("rb") as file:
            if _is_free(file.fileno()):
                path.unlink(missing_ok=True)
                return None
            return msgspec.json.decode(file.readline(_BYTES), type=Report)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return Report()


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
