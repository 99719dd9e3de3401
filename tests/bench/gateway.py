"""How fast a worker carries calls, beside Nginx. Run as ``python -m tests.bench.gateway [SECONDS] [ROUNDS]``.

Rounds alternate between the server itself, the server behind Nginx and the server behind the gateway, so that whatever else the
box does meets all three. wrk sends the next call when the last is answered; p99 with many clients is p99 at saturation.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.bench.load import Figures, pss_mb, wrk
from tests.bench.stage import Stage, stage

CLIENTS = (1, 16, 64)


@dataclass
class Row:
    """All rounds of one target with one number of clients."""

    name: str
    clients: int
    figures: list[Figures] = field(default_factory=list)
    #: Microseconds a call, one for each round.
    cpu_us: list[float] = field(default_factory=list)
    scribe_us: list[float] = field(default_factory=list)
    postgres_us: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls a second."""
        return median(item.calls_per_s for item in self.figures)

    @property
    def p50_ms(self) -> float:
        """Of the latency."""
        return median(item.p50_ms for item in self.figures)

    @property
    def p99_ms(self) -> float:
        """Of the latency."""
        return median(item.p99_ms for item in self.figures)

    @property
    def cpu(self) -> float:
        """Microseconds of CPU a call."""
        return median(self.cpu_us) if self.cpu_us else 0.0

    @property
    def answered(self) -> int:
        """Calls of all rounds."""
        return sum(item.calls for item in self.figures)

    @property
    def errors(self) -> int:
        """Of all rounds."""
        return sum(item.errors for item in self.figures)

    def __str__(self) -> str:
        beside = ""
        if self.scribe_us:
            scribe, postgres = median(self.scribe_us), median(self.postgres_us)
            beside = f" + {scribe:.1f} scribe + {postgres:.1f} Postgres"
        return (
            f"{self.name:<8}{self.clients:>3} clients {self.rate:>9,.0f} calls/s  p50 {self.p50_ms:6.3f} ms"
            f"  p99 {self.p99_ms:6.2f} ms  {self.cpu:5.1f} µs CPU a call{beside}  {self.errors} errors"
        )


def measure(where: Stage, clients: int, seconds: int, rounds: int) -> dict[str, Row]:
    """Return the rows of the three targets."""
    rows = {name: Row(name, clients) for name in ("direct", "nginx", "gateway")}
    gateway_url = f"{where.box.url}/servers/http/mcp"
    for _ in range(rounds):
        direct = wrk(where.direct_url, clients, "none", max(1, seconds // 2))
        rows["direct"].figures.append(direct)
        with _spent(rows["nginx"], [where.nginx_cpu_s]):
            nginx = wrk(where.nginx_url, clients, "none", seconds)
            rows["nginx"].figures.append(nginx)
        meters = [where.worker_cpu_s, where.scribe_cpu_s, where.postgres_cpu_s]
        with _spent(rows["gateway"], meters):
            gateway = wrk(gateway_url, clients, where.box.key, seconds)
            rows["gateway"].figures.append(gateway)
    return rows


@contextmanager
def _spent(row: Row, meters: list[Callable[[], float]]) -> Iterator[None]:
    """Note what was spent inside, for each of the calls that were made there."""
    before = [meter() for meter in meters]
    yield
    calls = max(1, row.figures[-1].calls)
    spent = [meter() - was for meter, was in zip(meters, before, strict=True)]
    kept = (row.cpu_us, row.scribe_us, row.postgres_us)
    for values, second in zip(kept, spent, strict=False):
        values.append(second / calls * 1e6)


def main() -> None:
    """Measure and print."""
    seconds, rounds = (int(item) for item in [*sys.argv[1:], "3", "3"][:2])
    with stage() as where:
        for clients in CLIENTS:
            for row in measure(where, clients, seconds, rounds).values():
                print(row, flush=True)  # noqa: T201 - figures
        pid = where.box.children()["worker-0"]
        print(f"worker: {pss_mb(pid):.1f} MB PSS after load")  # noqa: T201 - figures


if __name__ == "__main__":
    main()
