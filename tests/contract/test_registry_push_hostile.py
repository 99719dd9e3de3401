"""A registry that refuses, cuts, stalls, truncates and lies, at every kind of request: each push ends soon, with a name."""

import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from appliance.core.images import PlatformImage
from appliance.infra.database import Database
from appliance.registry.errors import ErrorKind, RegistryError
from tests.harness.faults import Fault
from tests.harness.hostility import LONGEST_S, REQUESTS, Request, offend
from tests.harness.pushes import PushBench, push_bench, small_image


@pytest.fixture(scope="module")
def image() -> Iterator[PlatformImage]:
    with small_image(20_000, marker="hostile") as made:
        yield made


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database, "htpasswd") as made:
        yield made


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda item: item.name)
async def test_every_hostile_answer_is_a_named_failure(
    bench: PushBench,
    image: PlatformImage,
    request_: Request,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = await offend(bench, image, request_)

    assert wrong == {}
    assert bench.left_names() == []
    events = await bench.events()
    failed = [i["details"] for i in events if i["event_type"] == "push_failed"]
    assert failed
    assert all(item["error_kind"] and item["error"] for item in failed)
    told = capsys.readouterr().out + json.dumps(events) + "\n".join(bench.said)
    assert bench.registry.password not in told
    assert "Basic " not in told


async def test_an_upload_is_sent_to_no_other_host(
    bench: PushBench, image: PlatformImage
) -> None:
    elsewhere = {"Location": "http://127.0.0.1:9/v2/team/time/blobs/uploads/1"}
    bench.proxy.faults.append(Fault("POST", "uploads", status=202, headers=elsewhere))

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(), image)

    assert failed.value.kind is ErrorKind.INVALID
    assert "another host" in failed.value.detail


async def test_credentials_are_not_sent_to_a_token_server_that_any_registry_names(
    bench: PushBench, image: PlatformImage
) -> None:
    """A registry with TLS may not have them sent without."""
    realm = {"WWW-Authenticate": 'Bearer realm="ftp://127.0.0.1:9/token"'}
    bench.proxy.faults.append(Fault("GET", "/v2/$", status=401, headers=realm))

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(), image)

    assert failed.value.kind is ErrorKind.INVALID


async def test_a_registry_that_takes_nothing_more_is_not_waited_for(
    bench: PushBench,
) -> None:
    with small_image(30_000_000) as large:
        # Slower than any buffer between here and there.
        bench.proxy.bytes_per_s = 1000
        service = await bench.service(registry_timeout=1, registry_push_retries=0)
        started = time.monotonic()

        with pytest.raises(RegistryError) as failed:
            await bench.publish(service, large)

    assert failed.value.kind is ErrorKind.TIMEOUT
    assert time.monotonic() - started < LONGEST_S
