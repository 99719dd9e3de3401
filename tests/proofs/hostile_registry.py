"""A registry that answers 401, 403, 404, 429 and 5xx, cuts, stalls, truncates and lies, at every kind of request of a push.

Each hostile push must end with a name of what happened, within seconds, and leave nothing on the engine and no secret in log,
build log or event; and once the hostility stops, the same push must succeed.
"""

import asyncio
import io
import json
import secrets
import time
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from appliance.core.images import PlatformImage
from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.observability import logs
from tests.cluster import throw_away_cluster
from tests.harness.hostility import HOSTILITIES, REQUESTS, offend, tolerated
from tests.harness.pushes import PushBench, push_bench, small_image
from tests.harness.registry import Auth
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

ROOT = Path(__file__).parent.parent.parent
WAYS: tuple[Auth, ...] = ("htpasswd", "token")
LAYER_BYTES = 50_000


def prove() -> None:
    """Measure."""
    need_programs("docker", "docker-registry", "htpasswd")
    lines = io.BytesIO()
    logs.configure("debug", "json", stream=cast("BinaryIO", lines))
    with throw_away_cluster() as cluster:
        cluster.execute("CREATE DATABASE pushes")
        url = cluster.url("pushes")
        with closing(connect(connection_arguments(url))) as connection:
            migrations.migrate(connection, ROOT / "migrations")
        wrong: list[str] = []
        for auth in WAYS:
            wrong += asyncio.run(_measure(url, auth, lines))
    count = len(WAYS) * len(REQUESTS) * len(HOSTILITIES)
    hold(
        not wrong,
        f"{count} hostile pushes, {len(wrong)} not as they should be {'; '.join(wrong)}",
    )


async def _measure(url: str, auth: Auth, lines: io.BytesIO) -> list[str]:
    database = await asyncio.to_thread(Database, url, size=4)
    try:
        async with push_bench(database, auth) as bench:
            bench.server_id = 1 + WAYS.index(auth)
            with small_image(LAYER_BYTES, marker=secrets.token_hex(4)) as image:
                found = await _every_request(bench, image, auth)
                found += await _afterwards(bench, image, auth)
            found += await _leaks(bench, lines, auth)
            return found
    finally:
        await asyncio.to_thread(database.close)


async def _every_request(
    bench: PushBench, image: PlatformImage, auth: Auth
) -> list[str]:
    found = []
    for request in REQUESTS:
        started = time.monotonic()
        wrong = await offend(bench, image, request)
        seconds = time.monotonic() - started
        print(
            f"{auth}, {request.name}: {len(HOSTILITIES)} hostilities in {seconds:.1f} s"
        )
        found += [f"{auth} {request.name} {name}: {how}" for name, how in wrong.items()]
    return found


async def _afterwards(bench: PushBench, image: PlatformImage, auth: Auth) -> list[str]:
    """Push where every hostility has just been met, now that there is none."""
    service = await bench.service()
    found = []
    for request in REQUESTS:
        name = f"{request.name}-503"
        published = await bench.publish(service, image, name=name)
        if bench.registry.manifest(f"team/{name}", published.digest) is None:
            found.append(f"{auth} {name}: not there afterwards")
    return found


async def _leaks(bench: PushBench, lines: io.BytesIO, auth: Auth) -> list[str]:
    events = json.dumps(await bench.events())
    told = lines.getvalue().decode() + events + "\n".join(bench.said)
    failed = events.count('"push_failed"')
    print(f"{auth}: {failed} push_failed told, {len(told)} bytes of logs and events")
    found = [f"{auth}: a secret in logs" for s in _secrets(bench) if s in told]
    found += [f"{auth}: left on the engine: {name}" for name in bench.left_names()]
    expected = sum(not tolerated(r, name) for r in REQUESTS for name in HOSTILITIES)
    if failed != expected:
        found.append(f"{auth}: {failed} of {expected} failures were told")
    return found


def _secrets(bench: PushBench) -> list[str]:
    config = json.loads(bench.credentials.read_text())
    encoded = [item["auth"] for item in config["auths"].values()]
    # A token begins like every other that is signed so.
    return [bench.registry.password, *encoded, "eyJhbGciOi"]
