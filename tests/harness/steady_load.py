"""Calls at a steady pace on kept connections, as agents make them, and what became of each."""

import http.client
import itertools
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CLIENTS = 8
ANSWER_S = 60.0


@dataclass(frozen=True)
class Target:
    """One endpoint, and the call that is made there."""

    url: str
    key: str
    tool: str
    arguments: dict[str, object] = field(default_factory=dict)
    #: What its certificate is trusted by; empty: what the box trusts.
    ca_file: str = ""

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is made with the first request."""
        place = urlsplit(self.url)
        if place.scheme == "http":
            return http.client.HTTPConnection(place.netloc, timeout=ANSWER_S)
        trusted = ssl.create_default_context(cafile=self.ca_file or None)
        return http.client.HTTPSConnection(
            place.netloc, timeout=ANSWER_S, context=trusted
        )


@dataclass
class Load:
    """How it went so far."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    @property
    def calls(self) -> int:
        """How many were made."""
        return self.answered.total() + len(self.failed)

    def __str__(self) -> str:
        shown = f": {self.failed[0]}" if self.failed else ""
        return f"{self.calls} calls, {len(self.failed)} failed{shown}; the longest took {self.longest_s:.2f} s"


@contextmanager
def steady_load(targets: Sequence[Target], *, per_second: float) -> Iterator[Load]:
    """Call ``targets`` in turn while inside; none is tried twice, and a call that waits keeps nobody else waiting."""
    load, stop = Load(), threading.Event()
    turns = itertools.count()
    started = time.monotonic()

    def client() -> None:
        connections: dict[str, http.client.HTTPConnection] = {}
        while not stop.is_set():
            turn = next(turns)
            if stop.wait(max(0.0, started + turn / per_second - time.monotonic())):
                break
            target = targets[turn % len(targets)]
            _call(connections, target, turn, load)
        for connection in connections.values():
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(
    connections: dict[str, http.client.HTTPConnection],
    target: Target,
    turn: int,
    load: Load,
) -> None:
    place = urlsplit(target.url)
    if place.netloc not in connections:
        connections[place.netloc] = target.connect()
    connection = connections[place.netloc]
    params = {"name": target.tool, "arguments": target.arguments}
    message = {"jsonrpc": "2.0", "id": turn, "method": "tools/call", "params": params}
    headers = {
        "Authorization": f"Bearer {target.key}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    began = time.monotonic()
    try:
        connection.request("POST", place.path, json.dumps(message), headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        load.failed.append(f"{target.url}: {error!r}")
        return
    load.longest_s = max(load.longest_s, time.monotonic() - began)
    if answer.status == http.HTTPStatus.OK and b'"result"' in body:
        load.answered[target.url] += 1
    else:
        load.failed.append(f"{target.url}: {answer.status} {body[:300]!r}")
