"""Every registry event, captured over REST and SSE from real pushes to a real registry, with every field; and the log.

Success for two platforms, a transient fault then success, credentials that end in mid-push and are refreshed, a refresh
that fails, exhausted retries, a failure before the stream, rotations that succeed, fail and are skipped, prunes that succeed
and fail.
"""

import asyncio
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from appliance.core.images import PlatformImage, Published
from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.observability import logs
from appliance.registry.errors import RegistryError
from appliance.registry.prune_service import Pruner
from appliance.registry.telemetry import Event
from tests.cluster import throw_away_cluster
from tests.harness.faults import Fault
from tests.harness.push_hub import (
    Client,
    are_alike,
    by_rest,
    by_sse,
    lacking,
    push_hub,
    told,
)
from tests.harness.pushes import (
    AMD64,
    ARM64,
    PushBench,
    push_bench,
    small_image,
    write_credentials,
)
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

ROOT = Path(__file__).parent.parent.parent
MESSAGES = (
    "Manifest published with digest sha256:",
    "registry authentication expired",
    "registry push failed",
    "registry push succeeded after retry",
)
CHALLENGE = {"WWW-Authenticate": 'Basic realm="test"'}
DAY_S = 86400.0

Details = dict[str, Any]
Told = list[tuple[str, Details]]


def prove() -> None:
    """Measure."""
    need_programs("docker", "docker-registry", "htpasswd")
    lines = io.BytesIO()
    logs.configure("info", "json", stream=cast("BinaryIO", lines))
    with throw_away_cluster() as cluster:
        cluster.execute("CREATE DATABASE pushes")
        url = cluster.url("pushes")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, ROOT / "migrations")
        events, wrong = asyncio.run(_measure(url))
    seen = Counter(name for name, _ in events)
    wrong += [f"no {item.value}" for item in Event if not seen[item.value]]
    wrong += _unlogged(lines)
    print(", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    hold(
        not wrong,
        f"{len(events)} events of {len(seen)} names, alike over REST and SSE; "
        f"{len(MESSAGES)} log messages; wrong: {'; '.join(wrong) or 'nothing'}",
    )


async def _measure(url: str) -> tuple[Told, list[str]]:
    database = await asyncio.to_thread(Database, url, size=4)
    try:
        async with (
            push_bench(database, "htpasswd") as bench,
            push_hub(database, bench) as client,
        ):
            return await _scenes(bench, client)
    finally:
        await asyncio.to_thread(database.close)


async def _scenes(bench: PushBench, client: Client) -> tuple[Told, list[str]]:
    wrong: list[str] = []
    seen = 0
    with small_image(5000) as image, small_image(5000, platform=ARM64) as other:
        for scene in SCENES:
            words, seen = await _played(bench, client, scene, (image, other), seen=seen)
            wrong += [f"{scene.__name__.strip('_')}: {item}" for item in words]
    events = await by_rest(client)
    streamed = await by_sse(client, len(events))
    wrong += [field for event in events for field in lacking(event)]
    if not are_alike(streamed, events):
        wrong.append("REST and SSE differ")
    return told(events), wrong


async def _played(
    bench: PushBench,
    client: Client,
    scene: "Scene",
    images: tuple[PlatformImage, PlatformImage],
    *,
    seen: int,
) -> tuple[list[str], int]:
    """Play one scene; return what is wrong with what it told, and how many events there are now."""
    wrong: list[str] = []
    check: Check | None = None
    try:
        check = await scene(bench, *images)
    except RegistryError as error:
        wrong.append(error.detail)
    bench.proxy.faults.clear()
    config = bench.registry.docker_config(bench.proxy.host)
    write_credentials(bench.credentials, config)
    events = await by_rest(client)
    if check is not None:
        try:
            wrong += list(check(told(events[seen:])))
        except (LookupError, ValueError) as error:
            wrong.append(f"an event or a field is not there: {error}")
    return wrong, len(events)


Check = Callable[[Told], Iterator[str]]
Scene = Callable[[PushBench, PlatformImage, PlatformImage], Awaitable[Check]]


def _details(events: Told, name: str) -> list[Details]:
    return [details for found, details in events if found == name]


def _need(condition: object, words: str) -> Iterator[str]:
    if not condition:
        yield words


def _refresher(bench: PushBench, *, works: bool = True) -> str:
    """Return a command that prints good credentials, or fails."""
    fresh = bench.credentials.with_name("fresh.json")
    write_credentials(fresh, bench.registry.docker_config(bench.proxy.host))
    program = f"print(open({str(fresh)!r}).read())" if works else "raise SystemExit(3)"
    return json.dumps([sys.executable, "-c", program])


async def _success(
    bench: PushBench, image: PlatformImage, other: PlatformImage
) -> Check:
    published = await bench.publish(await bench.service(), image, other)

    def check(events: Told) -> Iterator[str]:
        for platform in (AMD64, ARM64):
            own = [name for name, item in events if item["platform"] == platform]
            order = ["tag_started", "tag_succeeded", "push_started", "push_succeeded"]
            yield from _need(own == order, f"{platform} told {own}")
        (last,) = _details(events, "manifest_published")
        yield from _need(last["digest"] == published.digest, "another digest")
        yield from _need(last["architectures"] == [AMD64, ARM64], "architectures")

    return check


async def _transient(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    bench.proxy.faults.append(Fault("PUT", "manifests/sha256", status=503, times=1))
    await bench.publish(await bench.service(), image, name="time")

    def check(events: Told) -> Iterator[str]:
        (retry,) = _details(events, "push_retry")
        yield from _need(retry["error_kind"] == "server_error", "error_kind")
        yield from _need(retry["reason"] == "transient", "reason")
        (done,) = _details(events, "push_succeeded")
        yield from _need(done["attempt"] == 2, "attempt")

    return check


async def _expiry(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    fault = Fault("PUT", "manifests/sha256", status=401, headers=CHALLENGE, times=1)
    bench.proxy.faults.append(fault)
    service = await bench.service(registry_auth_refresh_command=_refresher(bench))
    await bench.publish(service, image)

    def check(events: Told) -> Iterator[str]:
        names = [name for name, _ in events]
        order = ["auth_refresh_started", "auth_refresh_succeeded", "push_retry"]
        yield from _need([n for n in names if n in order] == order, f"told {names}")
        (retry,) = _details(events, "push_retry")
        yield from _need(retry["reason"] == "auth_refresh", "reason")
        yield from _need(retry["auth_expired"] and retry["error"], "the error")

    return check


async def _refused(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    command = _refresher(bench, works=False)
    service = await bench.service(registry_auth_refresh_command=command)
    bench.proxy.faults.append(
        Fault("PUT", "manifests/sha256", status=401, headers=CHALLENGE)
    )
    with suppress(RegistryError):
        await bench.publish(service, image)

    def check(events: Told) -> Iterator[str]:
        yield from _need(_details(events, "auth_refresh_failed"), "no refresh failed")
        (failed,) = _details(events, "push_failed")
        yield from _need(failed["auth_expired"], "auth_expired")
        yield from _need(failed["error_kind"] == "auth_expired", "error_kind")

    return check


async def _exhausted(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    bench.proxy.faults.append(Fault("PUT", "manifests/sha256", "cut"))
    with suppress(RegistryError):
        await bench.publish(await bench.service(registry_push_retries=2), image)

    def check(events: Told) -> Iterator[str]:
        attempts = [item["attempt"] for item in _details(events, "push_retry")]
        yield from _need(attempts == [2, 3], f"attempts {attempts}")
        (failed,) = _details(events, "push_failed")
        yield from _need(failed["attempt"] == 3, "attempt")
        yield from _need(failed["retry_limit"] == 2, "retry_limit")
        yield from _need(failed["error_kind"] == "connection", "error_kind")

    return check


async def _before_the_stream(
    bench: PushBench, _image: PlatformImage, _other: PlatformImage
) -> Check:
    nothing = PlatformImage(AMD64, "sha256:" + "0" * 64, "push-test/none:1")
    with suppress(RegistryError):
        await bench.publish(await bench.service(), nothing)

    def check(events: Told) -> Iterator[str]:
        (failed,) = _details(events, "push_failed")
        yield from _need(failed["attempt"] == 0, "attempt")
        yield from _need(not _details(events, "push_started"), "it began")

    return check


async def _rotated(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    """Credentials within the lead before their end, and a command."""
    return await _old(bench, image, _refresher(bench), "auth_rotation_succeeded")


async def _not_rotated(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    """The same with a command that fails: the push goes on with the old ones."""
    command = _refresher(bench, works=False)
    return await _old(bench, image, command, "auth_rotation_failed")


async def _skipped(
    bench: PushBench, image: PlatformImage, _other: PlatformImage
) -> Check:
    """The same without a command."""
    return await _old(bench, image, None, "auth_rotation_skipped")


async def _old(
    bench: PushBench, image: PlatformImage, command: str | None, expected: str
) -> Check:
    since = time.time() - DAY_S + 600  # expired in ten minutes
    os.utime(bench.credentials, (since, since))
    service = await bench.service(registry_auth_refresh_command=command)
    await bench.publish(service, image)

    def check(events: Told) -> Iterator[str]:
        health = _details(events, "auth_health_reported")[0]
        yield from _need(health["rotation_recommended"], "rotation_recommended")
        yield from _need(
            health["rotation_configured"] is (command is not None),
            "rotation_configured",
        )
        yield from _need(
            0 < (health["seconds_until_expiry"] or 0) <= 600, "seconds_until_expiry"
        )
        yield from _need(_details(events, expected), f"no {expected}")

    return check


async def _pruned(
    bench: PushBench, image: PlatformImage, other: PlatformImage
) -> Check:
    """Each publication takes the place of the one before; then the registry refuses to delete."""
    service = await bench.service()
    pruner = Pruner(bench.database, service.client, [], owner=bench.owner)
    published: list[Published] = []

    async def remember(server_id: int, number: int, item: Published) -> None:
        published.append(item)
        await pruner.published(server_id, number, item)

    service.on_published(remember)
    with small_image(700) as third:
        for number, pushed in enumerate((image, third, other), start=100):
            if number == 102:
                bench.proxy.faults.append(Fault("DELETE", "manifests", status=500))
            await bench.publish(service, pushed, deployment_id=number)
            with suppress(RegistryError):
                await pruner.prune(bench.server_id, published[-1].repository)

    def check(events: Told) -> Iterator[str]:
        names = [name for name, _ in events if name.startswith("manifest_prune")]
        wanted = {"started", "succeeded", "failed"}
        found = {name.rpartition("_")[2] for name in names}
        yield from _need(found == wanted, f"told {names}")
        gone = bench.registry.manifest("team/time", published[0].digest)
        yield from _need(gone is None, "what was pruned is still there")

    return check


SCENES: tuple[Any, ...] = (
    _success,
    _transient,
    _expiry,
    _refused,
    _exhausted,
    _before_the_stream,
    _rotated,
    _not_rotated,
    _skipped,
    _pruned,
)


def _unlogged(lines: io.BytesIO) -> list[str]:
    """Return the messages that the log lacks under the target that tools look for."""
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    told_there = [item["event"] for item in found if item["target"] == "registry.push"]
    return [
        f"not logged: {message}"
        for message in MESSAGES
        if not any(line.startswith(message) for line in told_there)
    ]
