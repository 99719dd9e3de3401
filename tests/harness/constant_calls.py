"""Clients that call all the time, at a steady rate, and remember how each call went."""

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import pairwise
from typing import Any, Self
from urllib.parse import urlsplit

from tests.harness.mcp import INITIALIZE

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Target:
    """What one client calls."""

    url: str
    key: str
    method: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call."""

    began: float
    ended: float
    #: Empty: it was answered.
    problem: str = ""


@dataclass(frozen=True)
class Figures:
    """How calls went in a stretch of time."""

    answered: int
    #: Begun after the trouble and not answered.
    failed: tuple[str, ...]
    #: Under way when the trouble came and not answered: what was killed had them.
    inside: int
    #: Longest time in which no call at all was answered.
    gap_s: float
    slowest_s: float

    def __str__(self) -> str:
        why = f" ({self.failed[0][:90]})" if self.failed else ""
        return (
            f"{self.answered:6} answered, {len(self.failed):3} failed, {self.inside:2} were inside, "
            f"longest gap {self.gap_s:5.2f} s, slowest {self.slowest_s:5.2f} s{why}"
        )


@dataclass
class Load:
    """So many clients, each on a connection of its own, which together call ``rate`` times a second.

    Args:
        targets: Clients take turns among them.
        context: How TLS is checked; ``None``: there is none.
    """

    targets: Sequence[Target]
    rate: float = 100
    clients: int = 10
    context: ssl.SSLContext | None = None
    calls: list[Call] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.clients):
            target = self.targets[number % len(self.targets)]
            thread = threading.Thread(target=self._run, args=(target,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def since(self, moment: float) -> Figures:
        """Return how calls went from ``moment`` on, when something happened, until now."""
        now = time.monotonic()
        seen = [call for call in list(self.calls) if call.ended >= moment]
        answered = sorted(call.ended for call in seen if not call.problem)
        marks = [moment, *answered, now]
        bad = [call for call in seen if call.problem]
        return Figures(
            answered=len(answered),
            failed=tuple(call.problem for call in bad if call.began >= moment),
            inside=sum(call.began < moment for call in bad),
            gap_s=max(late - early for early, late in pairwise(marks)),
            slowest_s=max((call.ended - call.began for call in seen), default=0.0),
        )  # fmt: skip

    def wait_answered(self, count: int, *, within_s: float) -> bool:
        """Wait until so many more calls were answered; return whether they were."""
        wanted = sum(not call.problem for call in list(self.calls)) + count
        deadline = time.monotonic() + within_s
        while sum(not call.problem for call in list(self.calls)) < wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _run(self, target: Target) -> None:
        every_s = self.clients / self.rate
        client = _Client(target, self.context)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            # What could not be called in time is not made up for: the rate is a promise not to do more.
            due = max(due + every_s, time.monotonic() - every_s)
            began = time.monotonic()
            problem = client.call()
            self.calls.append(Call(began, time.monotonic(), problem))


class _Client:
    """One connection, opened again when it breaks, and one session, opened again when it is not known."""

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._context = context
        self._path = urlsplit(target.url).path
        self._connection: HTTPConnection | None = None
        self._session = ""
        self._is_open = False

    def call(self) -> str:
        """Call once; return what went wrong."""
        try:
            if not self._is_open:
                self._post("initialize", INITIALIZE, 0)
                self._is_open = True
            answer = self._post(self._target.method, self._target.params, 1)
        except (OSError, HTTPException, ValueError) as error:
            self._hang_up()
            return repr(error)
        return "" if b'"result"' in answer else answer.decode(errors="replace")[:200]

    def _post(self, method: str, params: dict[str, Any], number: int) -> bytes:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        headers = {
            "Authorization": f"Bearer {self._target.key}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        connection = self._connected()
        connection.request("POST", self._path, json.dumps(message).encode(), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {body[:150]!r}")
        # A server without sessions gives none; its calls go on without.
        self._session = answer.headers.get("Mcp-Session-Id") or self._session
        return body

    def _connected(self) -> HTTPConnection:
        if self._connection is not None and _is_closed(self._connection):
            self._hang_up()
        if self._connection is None:
            place = urlsplit(self._target.url)
            host, port = str(place.hostname), place.port
            if self._context is None:
                made = HTTPConnection(host, port, timeout=TIMEOUT_S)
            else:
                made = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._context)  # fmt: skip
            made.connect()
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = made
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _is_closed(connection: HTTPConnection) -> bool:
    """Return whether the other side hung up meanwhile, which every client looks at before it calls again."""
    if connection.sock is None:
        return True
    # Nobody sends anything unasked for, so what can be read is the end.
    readable, _, _ = select.select([connection.sock], [], [], 0)
    return bool(readable)
