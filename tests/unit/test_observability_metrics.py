"""Prometheus metrics."""

from prometheus_client.parser import text_string_to_metric_families

from appliance.observability.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.http_request("GET", "/api/servers/{server}", 200, 0.02)

    found = samples(metrics)
    labels = (("method", "GET"), ("route", "/api/servers/{server}"), ("status", "200"))
    assert found["mcp_host_http_requests_total", labels] == 2
    assert found["mcp_host_http_request_duration_seconds_count", (labels[1],)] == 2


def test_jobs_that_are_no_longer_there_are_not_shown() -> None:
    metrics = Metrics()
    metrics.jobs_now({("k", "queued"): 3})
    metrics.jobs_now({("k", "running"): 1})

    shown = {
        key: value
        for key, value in samples(metrics).items()
        if key[0] == "mcp_host_jobs"
    }
    assert shown == {("mcp_host_jobs", (("kind", "k"), ("state", "running"))): 1}


def test_two_hubs_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.clock_missed("sweep")

    key = ("mcp_host_clock_missed_total", (("name", "sweep"),))
    assert samples(first)[key] == 1
    assert key not in samples(second)
