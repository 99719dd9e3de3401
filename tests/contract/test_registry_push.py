"""Pushing to a real registry by the real engine: what arrives, what is told, what is tried again."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from appliance.core.images import PlatformImage
from appliance.infra.database import Database
from appliance.registry.errors import ErrorKind, RegistryError
from tests.harness.faults import Fault
from tests.harness.pushes import (
    AMD64,
    ARM64,
    PushBench,
    push_bench,
    small_image,
    write_credentials,
)
from tests.harness.registry import Auth


@pytest.fixture(scope="module")
def image() -> Iterator[PlatformImage]:
    with small_image(300_000, 200_000) as made:
        yield made


@pytest.fixture(scope="module")
def arm_image() -> Iterator[PlatformImage]:
    with small_image(100_000, platform=ARM64) as made:
        yield made


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database) as made:
        yield made


@pytest.fixture
async def token_bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database, "token") as made:
        yield made


@pytest.fixture
async def basic_bench(database: Database) -> AsyncIterator[PushBench]:
    async with push_bench(database, "htpasswd") as made:
        yield made


@pytest.mark.parametrize("auth", ["none", "htpasswd", "token"])
async def test_the_registry_has_what_was_published(
    database: Database, image: PlatformImage, arm_image: PlatformImage, auth: Auth
) -> None:
    async with push_bench(database, auth) as bench:
        published = await bench.publish(await bench.service(), image, arm_image)

        assert published.is_multi_arch
        assert [item.platform for item in published.platforms] == [AMD64, ARM64]
        assert bench.registry.tags("team/time") == [published.tag]
        whole = bench.registry.manifest("team/time", published.tag)
        assert whole is not None
        assert whole == bench.registry.manifest("team/time", published.digest)
        listed = [item["digest"] for item in json.loads(whole)["manifests"]]
        assert listed == [item.digest for item in published.platforms]
        for item, pushed in zip(published.platforms, (image, arm_image), strict=True):
            manifest = bench.registry.manifest("team/time", item.digest)
            assert manifest is not None
            assert json.loads(manifest)["config"]["digest"] == pushed.image_id
            assert item.reference == f"{bench.proxy.host}/team/time@{item.digest}"
        assert bench.left_names() == []


async def test_published_again_nothing_is_sent(
    bench: PushBench, image: PlatformImage
) -> None:
    service = await bench.service()
    first = await bench.publish(service, image)
    bench.proxy.seen.clear()

    again = await bench.publish(service, image)

    assert again == first
    assert bench.proxy.bodies() == 0
    assert bench.proxy.count("POST", "uploads") == 0


async def test_a_layer_that_another_server_pushed_is_lent(
    token_bench: PushBench, image: PlatformImage
) -> None:
    service = await token_bench.service()
    await token_bench.publish(service, image)
    token_bench.proxy.seen.clear()

    await token_bench.publish(service, image, name="other")

    sent = token_bench.proxy.bodies()
    assert sent < 10_000  # its config, and no layer
    assert any("mount=" in item.query for item in token_bench.proxy.seen)
    assert not any("from=mcp-host" in item.query for item in token_bench.proxy.seen)


async def test_a_retry_sends_nothing_that_arrived(
    bench: PushBench, image: PlatformImage
) -> None:
    # Both layers have arrived when the manifest is refused.
    fault = Fault("PUT", "manifests/sha256", status=503, times=1)
    bench.proxy.faults.append(fault)

    await bench.publish(await bench.service(), image)

    assert fault.hits == 1
    patched = [item.sent for item in bench.proxy.seen if item.method == "PATCH"]
    assert len(patched) == 3  # two layers and the config, once each
    assert 500_000 < sum(patched) < 510_000


async def test_a_layer_whose_answer_was_lost_is_not_sent_again(
    bench: PushBench, image: PlatformImage
) -> None:
    bench.proxy.faults.append(Fault("PUT", "uploads", "cut", times=1, arrives=True))

    await bench.publish(await bench.service(), image)

    assert bench.proxy.count("PATCH", "uploads") == 3


async def test_a_transient_fault_is_tried_again_and_told(
    bench: PushBench, image: PlatformImage, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.proxy.faults.append(Fault("POST", "uploads", status=502, times=1))

    await bench.publish(await bench.service(), image)

    retry = await bench.event("push_retry")
    assert retry["reason"] == "transient"
    assert retry["error_kind"] == "server_error"
    assert retry["status"] == 502
    assert retry["attempt"] == 2
    assert (await bench.event("push_succeeded"))["attempt"] == 2
    lines = _lines(capsys)
    assert "registry push succeeded after retry" in lines
    assert any(
        line.startswith("Manifest published with digest sha256:") for line in lines
    )
    assert "linux/amd64: registry push succeeded after retry" in bench.said


async def test_retry_after_is_honoured(bench: PushBench, image: PlatformImage) -> None:
    answer = {"Retry-After": "2"}
    bench.proxy.faults.append(
        Fault("POST", "uploads", status=429, headers=answer, times=1)
    )
    started = time.monotonic()

    await bench.publish(await bench.service(), image)

    assert time.monotonic() - started >= 2
    retry = await bench.event("push_retry")
    assert retry["error_kind"] == "rate_limited"
    assert retry["retry_after_s"] == 2
    assert 2 <= retry["pause_s"] < 2.1


@pytest.mark.parametrize("retries", [0, 2])
async def test_exhausted_retries_end_the_push(
    bench: PushBench,
    image: PlatformImage,
    capsys: pytest.CaptureFixture[str],
    retries: int,
) -> None:
    bench.proxy.faults.append(Fault("PUT", "manifests", status=500))

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(registry_push_retries=retries), image)

    assert failed.value.kind is ErrorKind.SERVER_ERROR
    assert (await bench.names()).count("push_retry") == retries
    ended = await bench.event("push_failed")
    assert ended["attempt"] == retries + 1
    assert ended["retry_limit"] == retries
    assert "registry push failed" in _lines(capsys)
    assert bench.registry.tags("team/time") == []
    assert bench.left_names() == []


async def test_what_will_not_go_away_is_not_tried_again(
    bench: PushBench, image: PlatformImage
) -> None:
    bench.proxy.faults.append(Fault("POST", "uploads", status=403))

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(), image)

    assert failed.value.kind is ErrorKind.DENIED
    assert "push_retry" not in await bench.names()
    assert bench.proxy.count("GET", "/v2/$") == 1


async def test_a_failure_before_the_stream_has_no_attempt(bench: PushBench) -> None:
    nothing = PlatformImage(AMD64, "sha256:" + "0" * 64, "push-test/none:1")

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(), nothing)

    assert failed.value.kind is ErrorKind.ENGINE
    told = await bench.event("push_failed")
    assert told["attempt"] == 0
    assert told["error_kind"] == "engine"
    assert (await bench.names())[-2:] == ["tag_started", "push_failed"]


async def test_a_registry_that_is_away_fails_before_the_stream(
    bench: PushBench, image: PlatformImage
) -> None:
    bench.registry.stop()
    bench.proxy.faults.append(Fault("GET", "/v2/$", "cut"))

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(registry_push_retries=1), image)

    assert failed.value.kind is ErrorKind.CONNECTION
    assert (await bench.event("push_failed"))["attempt"] == 0
    assert "push_started" not in await bench.names()


async def test_credentials_that_end_in_mid_push_are_refreshed(
    basic_bench: PushBench, image: PlatformImage, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = basic_bench
    fresh = bench.credentials.with_name("fresh.json")
    write_credentials(fresh, bench.registry.docker_config(bench.proxy.host))
    refresher = [sys.executable, "-c", f"print(open({str(fresh)!r}).read())"]
    # The first layer has passed when the registry wants other credentials.
    bench.proxy.faults.append(
        Fault(
            "PUT",
            "manifests/sha256",
            status=401,
            headers={"WWW-Authenticate": 'Basic realm="test"'},
            times=1,
        )
    )
    service = await bench.service(
        registry_auth_refresh_command=json.dumps(refresher), registry_push_retries=0
    )

    published = await bench.publish(service, image)

    retry = await bench.event("push_retry")
    assert retry["reason"] == "auth_refresh"
    assert retry["auth_expired"] is True
    assert retry["error_kind"] == "auth_expired"
    assert "401" in retry["error"]
    names = await bench.names()
    order = ["auth_refresh_started", "auth_refresh_succeeded", "push_retry"]
    assert [item for item in names if item in order] == order
    assert names.index("push_started") < names.index("push_retry")
    assert bench.proxy.count("PATCH", "uploads") == 3  # nothing went twice
    assert published.credentials.refresh_succeeded
    assert "registry authentication expired" in _lines(capsys)


async def test_refused_credentials_end_the_push_where_nothing_refreshes_them(
    basic_bench: PushBench, image: PlatformImage, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = basic_bench
    wrong = {**bench.registry.docker_config(bench.proxy.host)}
    wrong["auths"] = {bench.proxy.host: {"auth": "cHVzaGVyOnN0YWxlLXBhc3M="}}
    write_credentials(bench.credentials, wrong)

    with pytest.raises(RegistryError) as failed:
        await bench.publish(await bench.service(), image)

    assert failed.value.kind is ErrorKind.AUTH_EXPIRED
    assert (await bench.event("push_failed"))["auth_expired"] is True
    assert "registry authentication expired" in _lines(capsys)
    assert "registry authentication expired" in " ".join(bench.said)


async def test_tokens_that_end_in_mid_push_are_renewed_silently(
    token_bench: PushBench, image: PlatformImage
) -> None:
    tokens = token_bench.registry.tokens
    assert tokens is not None
    tokens.life_s = 1
    token_bench.proxy.bytes_per_s = 150_000  # the layers take longer than a token lives

    await token_bench.publish(await token_bench.service(), image)

    assert len(tokens.given) > 2
    assert "push_retry" not in await token_bench.names()


async def test_a_token_that_is_revoked_is_replaced(
    token_bench: PushBench, image: PlatformImage
) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{_realm(token_bench)}"'}
    token_bench.proxy.faults.append(
        Fault("PATCH", "uploads", status=401, headers=challenge, times=1)
    )

    await token_bench.publish(await token_bench.service(), image)

    assert (await token_bench.event("push_retry"))["reason"] == "token_renewed"


async def test_many_pushes_at_once_all_arrive(
    bench: PushBench, image: PlatformImage
) -> None:
    service = await bench.service()
    names = [f"server-{number}" for number in range(4)]

    done = await asyncio.gather(
        *(bench.publish(service, image, name=name) for name in names)
    )

    assert len({item.digest for item in done}) == 1
    assert all(len(bench.registry.tags(f"team/{name}")) == 1 for name in names)


async def test_cancelling_ends_a_push_within_a_second(
    bench: PushBench, image: PlatformImage
) -> None:
    bench.proxy.faults.append(Fault("PATCH", "uploads", "stall"))
    task = asyncio.ensure_future(
        bench.publish(await bench.service(registry_timeout=60), image)
    )
    while not bench.proxy.count("PATCH", "uploads"):
        await asyncio.sleep(0.05)

    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert time.monotonic() - started < 1
    assert bench.left_names() == []


async def test_names_that_a_killed_hub_left_are_swept_away(bench: PushBench) -> None:
    with small_image() as image:
        name = f"127.0.0.1:1/mcp-host-push-{bench.owner}-{'0' * 32}/team/time"
        async with bench.engine.reach() as client:
            await client.images.tag(image.image_id, name, tag="push")
        assert bench.left_names() == [name]

        service = await bench.service()
        await service.sweep()

        assert bench.left_names() == []


def _realm(bench: PushBench) -> str:
    assert bench.registry.tokens is not None
    return bench.registry.tokens.realm


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the messages that were logged for ``registry.push``."""
    found = []
    for line in capsys.readouterr().out.splitlines():
        item = json.loads(line) if line.startswith("{") else {}
        if item.get("target") == "registry.push":
            found.append(item["event"])
    return found
