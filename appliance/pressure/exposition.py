"""What is known of the box, for Prometheus. Read when it is scraped; nothing is asked then."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from appliance.infra.disk_space import Room
from appliance.pressure.model import Facts, Process
from appliance.pressure.watch import PressureWatch

#: Names of parts to 0 (well), 1 (degraded) or 2 (down).
Parts = Callable[[], Mapping[str, int]]
#: Severity to how many alerts are open.
Open = Callable[[], Mapping[str, int]]


class BoxCollector(Collector):
    """Tells of parts, alerts, supervision, and of what runs short."""

    def __init__(self, watch: PressureWatch, parts: Parts, alerts: Open) -> None:
        """Keep who knows."""
        self._watch = watch
        self._parts = parts
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """Return everything that is known."""
        yield _gauge("part_state", "0 well, 1 degraded, 2 down.", "part", self._parts().items())  # fmt: skip
        yield _gauge("alerts", "Alerts that have not ended.", "severity", self._alerts().items())  # fmt: skip
        yield from self._supervision()
        if self._watch.facts is not None:
            yield from _facts(self._watch.facts)

    def _supervision(self) -> Iterator[Metric]:
        programs = self._watch.programs
        yield _gauge(
            "process_up", "1 where the program runs.", "program",
            ((name, item.state == "running") for name, item in programs.items()),
        )  # fmt: skip
        restarts = CounterMetricFamily(
            "mcp_host_process_restarts",
            "Times that a program ended and was started again.",
            labels=["program"],
        )
        last = InfoMetricFamily(
            "mcp_host_process_last_restart",
            "Why a program was started again last.",
            labels=["program"],
        )
        for name, item in programs.items():
            restarts.add_metric([name], item.restarts)
            if item.reason:
                last.add_metric([name], {"reason": item.reason})
        yield restarts
        yield last
        yield _gauge(
            "process_last_restart_timestamp_seconds", "When that was.", "program",
            ((name, item.at) for name, item in programs.items() if item.at),
        )  # fmt: skip
        yield _gauge(
            "process_alarm", "1 where a program keeps ending.", "program",
            ((name, bool(item.alarm)) for name, item in programs.items()),
        )  # fmt: skip


def _facts(facts: Facts) -> Iterator[Metric]:
    yield _one("memory_available_bytes", "What can be had.", facts.memory.available_bytes)  # fmt: skip
    yield _one("memory_bytes", "Memory that there is.", facts.memory.total_bytes)
    yield from _rooms([*facts.disks, *([facts.run] if facts.run else [])])
    yield from _processes(facts.processes)
    if facts.connections is not None:
        used, limit = facts.connections.used, facts.connections.limit
        yield _one("postgres_connections", "Connections in use.", used)
        yield _one("postgres_max_connections", "How many it may have.", limit)
        yield _one("postgres_clock_ahead_seconds", "Its clock before the hub's.", facts.postgres_ahead_s)  # fmt: skip


def _rooms(rooms: Sequence[Room]) -> Iterator[Metric]:
    for name, words, value_of in (
        ("disk_free_bytes", "What is free.", attrgetter("free_bytes")),
        ("disk_bytes", "Size of the file system.", attrgetter("total_bytes")),
        ("disk_free_files", "Files that may be made.", attrgetter("free_files")),
    ):
        values = ((room.place, value_of(room)) for room in rooms)
        known = ((place, value) for place, value in values if value is not None)
        yield _gauge(name, words, "place", known)


def _processes(found: Sequence[Process]) -> Iterator[Metric]:
    for name, words, value_of in (
        ("resident_bytes", "Memory of a process.", attrgetter("resident_bytes")),
        ("open_descriptors", "What it has open.", attrgetter("descriptors")),
        ("max_descriptors", "How much it may.", attrgetter("max_descriptors")),
    ):
        values = ((item.name, value_of(item)) for item in found)
        yield _gauge(f"process_{name}", words, "program", values)


def _one(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"mcp_host_{name}", words, value=value)


def _gauge(
    name: str, words: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"mcp_host_{name}", words, labels=[label])
    for value_of, value in values:
        family.add_metric([value_of], value)
    return family
