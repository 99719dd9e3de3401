"""Watchers of a server's log, in a process of their own: real SSE over TCP, every line's way timed, every number noted.

``python -m tests.bench.log_watchers HOST PORT PATH KEY WATCHERS``. ``take`` on its input has it print a JSON object (lines,
seconds, gaps, doubles, missed, reconnections, milliseconds of each line), ``forget`` begin anew; at the end of its input it
prints one more.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """What is watched."""

    host: str
    port: int
    path: str
    key: str


@dataclass
class Seen:
    """What one watcher saw."""

    last_id: str = ""
    last: int = 0
    lines: int = 0
    gaps: int = 0
    doubles: int = 0
    missed: int = 0
    connections: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def take(self, text: str, arrived_ns: int) -> None:
        """Note one line."""
        parts = text.split(" ", 2)
        if not parts[0].isdigit() or len(parts) < 3:
            return
        number = int(parts[0])
        if self.last and number <= self.last:
            self.doubles += 1
        elif self.last and number > self.last + 1:
            self.gaps += 1
        self.last = max(number, self.last)
        self.lines += 1
        self.milliseconds.append((arrived_ns - int(parts[1])) / 1e6)


async def watch(seen: Seen, target: Target) -> None:
    """Follow for ever; a line that breaks is taken up again where it broke."""
    while True:
        try:
            await _follow(seen, target)
        except (OSError, EOFError):
            await asyncio.sleep(0.1)


async def _follow(seen: Seen, target: Target) -> None:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        lines = [
            f"GET {target.path} HTTP/1.1",
            f"Host: {target.host}:{target.port}",
            f"Authorization: Bearer {target.key}",
        ]
        if seen.last_id:
            lines.append(f"Last-Event-ID: {seen.last_id}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            raise EOFError(head.decode())
        seen.connections += 1
        last_id = event = ""
        while line := await reader.readline():
            if line.startswith(b"id: "):
                last_id = line[4:].decode().strip()
            elif line.startswith(b"event: "):
                event = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                _data(seen, event, line[6:])
                seen.last_id = last_id
    finally:
        writer.close()


def _data(seen: Seen, event: str, data: bytes) -> None:
    arrived = time.time_ns()
    found = json.loads(data)
    if event == "log":
        seen.take(found["text"], arrived)
    elif event == "missed":
        seen.missed += found["lines"]


async def main(target: Target, watchers: int) -> None:
    """Watch until the input ends."""
    all_seen = [Seen() for _ in range(watchers)]
    tasks = [asyncio.create_task(watch(item, target)) for item in all_seen]
    while any(item.connections == 0 for item in all_seen):
        await asyncio.sleep(0.01)
    _say("connected")
    since = time.monotonic()
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if command == "take":
            _say(_told(all_seen, since))
        for item in all_seen:
            item.lines, item.milliseconds = 0, []
        since = time.monotonic()
        if command == "forget":
            _say("forgot")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    _say(_told(all_seen, since))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _told(all_seen: list[Seen], since: float) -> str:
    return json.dumps(
        {
            "lines": [item.lines for item in all_seen],
            "seconds": time.monotonic() - since,
            "last": [item.last for item in all_seen],
            "gaps": sum(item.gaps for item in all_seen),
            "doubles": sum(item.doubles for item in all_seen),
            "missed": sum(item.missed for item in all_seen),
            "reconnections": sum(item.connections - 1 for item in all_seen),
            "milliseconds": [value for item in all_seen for value in item.milliseconds],
        }
    )


if __name__ == "__main__":
    asyncio.run(
        main(Target(sys.argv[1], int(sys.argv[2]), *sys.argv[3:5]), int(sys.argv[5]))
    )
