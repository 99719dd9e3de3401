"""Counters and gauges of the hub, for Prometheus."""

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

# A second series for every counter, which nobody asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Builds take minutes.
_JOB_SECONDS = (0.05, 0.25, 1, 5, 15, 60, 300, 1800)


class Metrics:
    """The hub's own registry; one a process."""

    def __init__(self) -> None:
        """Create every metric, so that each is served from the first scrape on."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "mcp_host_http_requests",
            "Requests answered, by route template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "mcp_host_http_request_duration_seconds",
            "Time from a request to the end of its answer; streams included.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge(
            "mcp_host_jobs",
            "Jobs that wait or run.",
            ("kind", "state"),
            registry=self.registry,
        )
        self._jobs_finished = Counter(
            "mcp_host_jobs_finished",
            "Runs of jobs that ended, by what became of them.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self._job_seconds = Histogram(
            "mcp_host_job_duration_seconds",
            "Time that one run of a job took.",
            ("kind",),
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self._clock_runs = Counter(
            "mcp_host_clock_runs",
            "Periodic entries started, by what became of them.",
            ("name", "outcome"),
            registry=self.registry,
        )
        self._clock_missed = Counter(
            "mcp_host_clock_missed",
            "Periodic entries that were due and did not start.",
            ("name",),
            registry=self.registry,
        )
        self._clock_leads = Gauge(
            "mcp_host_clock_leader",
            "1 where this process leads the clock.",
            registry=self.registry,
        )

        self._backup_at = Gauge(
            "mcp_host_backup_last_success_timestamp_seconds",
            "When the last good backup was whole; 0: there is none.",
            registry=self.registry,
        )
        self._backup_problem = Gauge(
            "mcp_host_backup_problem",
            "1 where a backup of the clock's failed or is overdue.",
            registry=self.registry,
        )

        self._server_cpu = Gauge(
            "mcp_host_server_cpu_cores",
            "Cores that a server's containers used in the last ten seconds.",
            ("server_id",),
            registry=self.registry,
        )
        self._server_memory = Gauge(
            "mcp_host_server_memory_bytes",
            "Memory of a server's containers, without the cache of files.",
            ("server_id",),
            registry=self.registry,
        )

        self._certificates = Gauge(
            "mcp_host_certificates",
            "Certificates, by how far they are.",
            ("status",),
            registry=self.registry,
        )
        self._certificate_days = Gauge(
            "mcp_host_certificate_days_left",
            "Days until a certificate ends; below 0 after its end.",
            ("certificate_id", "name"),
            registry=self.registry,
        )

    def certificates_now(
        self, counts: Mapping[str, int], days_left: Mapping[tuple[int, str], float]
    ) -> None:
        """Set how certificates are: status to a number, and number and first name to the days that are left."""
        self._certificates.clear()
        self._certificate_days.clear()
        for status, count in counts.items():
            self._certificates.labels(status).set(count)
        for (certificate_id, name), days in days_left.items():
            self._certificate_days.labels(str(certificate_id), name).set(days)

    def servers_now(self, used: Mapping[int, tuple[float, int]]) -> None:
        """Set what running servers use: number to cores and bytes; what is not named does not run."""
        self._server_cpu.clear()
        self._server_memory.clear()
        for server_id, (cores, memory_bytes) in used.items():
            self._server_cpu.labels(str(server_id)).set(cores)
            self._server_memory.labels(str(server_id)).set(memory_bytes)

    def http_request(
        self, method: str, route: str, status: int, seconds: float
    ) -> None:
        """Count one answered request.

        Args:
            route: The template (``/api/servers/{server}``): one label a route, not one an address.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def jobs_now(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set how many jobs wait and run: ``(kind, state)`` to a number; what is not named is none."""
        self._jobs.clear()
        for (kind, state), count in counts.items():
            self._jobs.labels(kind, state).set(count)

    def job_finished(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one run; ``outcome`` is a job's state, or ``retried``, ``again`` and ``lost``."""
        self._jobs_finished.labels(kind, outcome).inc()
        self._job_seconds.labels(kind).observe(seconds)

    def clock_run(self, name: str, outcome: str) -> None:
        """Count one periodic run: ``succeeded`` or ``failed``."""
        self._clock_runs.labels(name, outcome).inc()

    def clock_missed(self, name: str) -> None:
        """Count one periodic run that was due and did not start."""
        self._clock_missed.labels(name).inc()

    def backups(self, *, good_at: datetime | None, has_problem: bool) -> None:
        """Tell of the last good backup, and whether something is wrong with those of the clock's."""
        self._backup_at.set(good_at.timestamp() if good_at else 0)
        self._backup_problem.set(int(has_problem))

    def clock_leads(self, *, leads: bool) -> None:
        """Say whether this process leads the clock."""
        self._clock_leads.set(int(leads))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
