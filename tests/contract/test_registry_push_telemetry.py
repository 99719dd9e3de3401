"""The push telemetry as REST and SSE give it, from real pushes: names, fields, and what each says."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from appliance.core.images import PlatformImage
from appliance.infra.database import Database
from appliance.registry.errors import RegistryError
from tests.harness.faults import Fault
from tests.harness.push_hub import (
    SCOPES,
    Client,
    are_alike,
    by_rest,
    by_sse,
    lacking,
    push_hub,
)
from tests.harness.pushes import AMD64, ARM64, PushBench, push_bench, small_image

SUCCESS = [
    "auth_health_reported",
    "tag_started",
    "tag_succeeded",
    "push_started",
    "push_succeeded",
    "manifest_published",
]


@pytest.fixture(scope="module")
def image() -> Iterator[PlatformImage]:
    with small_image(1000) as made:
        yield made


@pytest.fixture(scope="module")
def arm_image() -> Iterator[PlatformImage]:
    with small_image(1000, platform=ARM64) as made:
        yield made


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database) as made:
        yield made


@pytest.fixture
async def client(database: Database, bench: PushBench) -> AsyncIterator[Client]:
    async with push_hub(database, bench) as admin:
        yield admin


def _check(event: dict[str, Any], bench: PushBench) -> None:
    assert lacking(event) == []
    details = event["details"]
    assert details["registry_endpoint"] == bench.proxy.host
    assert details["scopes"] == SCOPES
    assert details["retry_limit"] == 3


async def test_rest_and_sse_tell_every_event_of_a_push_with_every_field(
    bench: PushBench, client: Client, image: PlatformImage, arm_image: PlatformImage
) -> None:
    published = await bench.publish(await bench.service(), image, arm_image)

    events = await by_rest(client)
    streamed = await by_sse(client, len(events))

    assert sorted(item["event_type"] for item in events) == sorted(
        SUCCESS + SUCCESS[1:5]
    )
    for event in events:
        _check(event, bench)
    assert are_alike(streamed, events)
    for platform in (AMD64, ARM64):
        own = [i for i in events if i["details"]["platform"] == platform]
        assert [item["event_type"] for item in own] == SUCCESS[1:5]
        assert [item["details"]["attempt"] for item in own] == [0, 0, 1, 1]
    last = events[-1]
    assert last["event_type"] == "manifest_published"
    assert last["details"]["digest"] == published.digest
    assert last["details"]["architectures"] == [AMD64, ARM64]


async def test_rest_and_sse_tell_of_retries_and_of_the_end(
    bench: PushBench, client: Client, image: PlatformImage
) -> None:
    bench.proxy.faults.append(Fault("PATCH", "uploads", status=503))
    with pytest.raises(RegistryError):
        await bench.publish(await bench.service(), image)

    events = await by_rest(client)
    streamed = await by_sse(client, len(events))

    assert [item["event_type"] for item in events] == [
        *SUCCESS[:4],
        *["push_retry"] * 3,
        "push_failed",
    ]
    assert are_alike(streamed, events)
    for number, event in enumerate(events[4:7], start=2):
        _check(event, bench)
        assert event["details"]["attempt"] == number
        assert event["details"]["reason"] == "transient"
        assert event["details"]["error_kind"] == "server_error"
        assert "503" in event["details"]["error"]
    _check(events[7], bench)
    assert events[7]["details"]["attempt"] == 4


async def test_health_says_what_rotation_is_due(
    bench: PushBench, client: Client, image: PlatformImage
) -> None:
    await bench.publish(await bench.service(), image)

    health = next(
        item["details"]
        for item in await by_rest(client)
        if item["event_type"] == "auth_health_reported"
    )

    assert {"rotation_recommended", "rotation_configured", "seconds_until_expiry"} <= (
        set(health)
    )
