"""The door that engines push through: whom it answers, what it passes on, and how."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from appliance.core.digests import digest_of
from appliance.core.images import PlatformImage
from appliance.registry.attempts import Attempts
from appliance.registry.client import RegistryClient
from appliance.registry.door import Door, DoorShutError
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import OCI_INDEX, OCI_MANIFEST
from appliance.registry.passage import Passage
from appliance.registry.push import Push
from tests.harness.ports import free_port
from tests.harness.registry import Registry, registry
from tests.harness.waiting import until

CONFIG = b"{}"
LAYER = b"layer" * 1000


@dataclass
class Ajar:
    """A door with one push under way."""

    door: Door
    passage: Passage
    client: RegistryClient
    session: aiohttp.ClientSession
    registry: Registry

    def url(self, rest: str) -> str:
        """Return an address of the push."""
        host, _, path = self.passage.name.partition("/")
        return f"http://{host}/v2/{path}/{rest}"


@pytest.fixture
async def ajar() -> AsyncIterator[Ajar]:
    with registry() as running:
        async with aiohttp.ClientSession() as session:
            client = RegistryClient(session, running.host, plain=True, timeout_s=5)
            door = Door("0123456789ab")
            async with door.open(client, "team/time") as passage:
                yield Ajar(door, passage, client, session, running)
            await door.close()


async def _send(ajar: Ajar, data: bytes) -> str:
    """Send a blob in one piece, as the engines of the containerd store do."""
    digest = digest_of(data)
    async with ajar.session.post(ajar.url("blobs/uploads/")) as begun:
        assert begun.status == 202
        location = begun.headers["Location"]
    host = ajar.passage.name.partition("/")[0]
    address = f"http://{host}{location}?digest={digest}"
    async with ajar.session.put(address, data=data) as done:
        assert done.status == 201
        assert done.headers["Docker-Content-Digest"] == digest
    return digest


async def _manifest(ajar: Ajar) -> bytes:
    config, layer = await _send(ajar, CONFIG), await _send(ajar, LAYER)
    parts = [
        {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(LAYER)},
    ]
    whole = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {**parts[0], "digest": config},
        "layers": [{**parts[1], "digest": layer}],
    }
    return json.dumps(whole).encode()


async def _put(ajar: Ajar, reference: str, body: bytes, media_type: str) -> int:
    address = ajar.url(f"manifests/{reference}")
    headers = {"Content-Type": media_type}
    async with ajar.session.put(address, data=body, headers=headers) as answer:
        return answer.status


async def test_a_layer_in_one_piece_arrives(ajar: Ajar) -> None:
    digest = await _send(ajar, LAYER)

    assert ajar.registry.blob(digest) == LAYER


async def test_a_manifest_is_written_by_its_digest_whatever_tag_the_engine_names(
    ajar: Ajar,
) -> None:
    body = await _manifest(ajar)

    assert await _put(ajar, "push", body, OCI_MANIFEST) == 201

    assert ajar.passage.digest == digest_of(body)
    assert ajar.registry.manifest("team/time", digest_of(body)) == body
    assert ajar.registry.tags("team/time") == []


async def test_strangers_and_other_repositories_are_not_answered(ajar: Ajar) -> None:
    host, secret, *_ = ajar.passage.name.split("/")
    for path in (
        "/",
        "/v2/_catalog",
        "/v2/team/time/tags/list",
        f"/v2/{'0' * 40}/team/time/manifests/push",
        f"/v2/{secret}/team/other/blobs/sha256:{'0' * 64}",
        f"/v2/{secret}/team/time/tags/list",
    ):
        async with ajar.session.get(f"http://{host}{path}") as answer:
            assert answer.status in {404, 405}, path


async def test_after_a_failure_the_engine_gets_a_refusal_that_is_final(
    ajar: Ajar,
) -> None:
    ajar.registry.stop()
    for _ in range(2):
        async with ajar.session.post(ajar.url("blobs/uploads/")) as answer:
            assert answer.status == 403
            assert (await answer.json())["errors"][0]["code"] == "DENIED"

    assert ajar.passage.is_over.is_set()
    assert ajar.passage.failure is not None
    assert ajar.passage.failure.kind is ErrorKind.CONNECTION


async def test_what_an_ended_attempt_breaks_off_is_no_failure_of_the_next(
    ajar: Ajar,
) -> None:
    async with ajar.session.post(ajar.url("blobs/uploads/")) as begun:
        location = begun.headers["Location"]
    host = ajar.passage.name.partition("/")[0]
    is_sending = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield LAYER
        is_sending.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(
        ajar.session.patch(f"http://{host}{location}", data=body())
    )
    await is_sending.wait()
    await until(lambda: bool(ajar.passage._tasks))

    ajar.passage.begin()
    sending.cancel()
    await until(lambda: not ajar.passage._tasks)

    assert ajar.passage.failure is None
    assert not ajar.passage.is_over.is_set()


async def test_when_the_push_is_over_its_path_is_gone(ajar: Ajar) -> None:
    async with ajar.door.open(ajar.client, "team/time") as other:
        host, _, path = other.name.partition("/")

    async with ajar.session.post(f"http://{host}/v2/{path}/blobs/uploads/") as answer:
        assert answer.status == 404


async def test_a_port_in_use_is_named(ajar: Ajar) -> None:
    port = int(ajar.passage.name.partition("/")[0].rpartition(":")[2])

    with pytest.raises(DoorShutError, match="in use"):
        async with Door("0", port=port).open(ajar.client, "team/time"):
            pass


async def test_of_an_index_the_platforms_own_manifest_counts(ajar: Ajar) -> None:
    body = await _manifest(ajar)
    await _put(ajar, digest_of(body), body, OCI_MANIFEST)
    child = {"mediaType": OCI_MANIFEST, "size": len(body), "digest": digest_of(body)}
    platform = {"os": "linux", "architecture": "arm64"}
    whole = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{**child, "platform": platform}],
    }
    index = json.dumps(whole).encode()
    assert await _put(ajar, "push", index, OCI_INDEX) == 201
    image = PlatformImage("linux/arm64", "sha256:0", "x")
    push = Push(
        None,  # type: ignore[arg-type]  # no engine is asked
        ajar.door,
        Attempts(ajar.client, None, None, None),  # type: ignore[arg-type]  # nor these
        image,
        "team/time",
    )

    assert ajar.passage.digest == digest_of(index)
    assert await push._read_back(digest_of(index)) == digest_of(body)


async def test_what_does_not_speak_tls_is_told_so(ajar: Ajar) -> None:
    client = RegistryClient(ajar.session, ajar.registry.host, timeout_s=5)

    with pytest.raises(RegistryError) as failed:
        await client.ping()

    assert failed.value.kind is ErrorKind.TLS


async def test_a_registry_that_nobody_runs_refuses_the_connection(ajar: Ajar) -> None:
    host = f"127.0.0.1:{free_port()}"
    client = RegistryClient(ajar.session, host, plain=True, timeout_s=5)

    with pytest.raises(RegistryError) as failed:
        await client.ping()

    assert failed.value.kind is ErrorKind.CONNECTION
