"""Manifest lists on a real registry: anonymous, Basic and token, read back by this product and by skopeo."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from appliance.core.images import PublishedPlatform
from appliance.registry.auth import Credentials
from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.lists import publish_list
from appliance.registry.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from tests.harness.faults import Fault, fault_proxy
from tests.harness.registry import Auth, Registry, registry
from tests.harness.small_images import Shelf

REPOSITORY = "team/time"
BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture(scope="module")
def box() -> Iterator[Registry]:
    """A registry that anybody may use."""
    with registry() as running:
        yield running


@asynccontextmanager
async def shelf(running: Registry, host: str = "") -> AsyncIterator[Shelf]:
    async def credentials() -> Credentials | None:
        if running.auth == "none":
            return None
        return Credentials(running.username, SecretStr(running.password))

    async with aiohttp.ClientSession() as session:
        client = RegistryClient(
            session, host or running.host, credentials=credentials, plain=True
        )
        yield Shelf(client, REPOSITORY)


async def both(place: Shelf, content: str = "") -> tuple[PublishedPlatform, ...]:
    return tuple([await place.image(platform, content) for platform in BOTH])


def inspect(running: Registry, tag: str, home: Path) -> dict[str, Any]:
    """Return what skopeo, which nobody here wrote, reads."""
    config = home / "auth.json"
    config.write_text(json.dumps(running.docker_config()))
    done = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", "--authfile", str(config),
         f"docker://{running.host}/{REPOSITORY}:{tag}"],
        capture_output=True,
        check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("auth", ["none", "htpasswd", "token"])
def test_a_list_of_two_platforms_is_published_whoever_guards_the_registry(
    auth: Auth, tmp_path: Path
) -> None:
    async def publish(running: Registry) -> tuple[str, list[str]]:
        async with shelf(running) as place:
            platforms = await both(place)
            digest = await publish_list(place.client, REPOSITORY, "v1", platforms)
            return digest, [item.digest for item in platforms]

    with registry(auth) as running:
        digest, digests = asyncio.run(publish(running))
        found = inspect(running, "v1", tmp_path)
        stored = running.manifest(REPOSITORY, digest)
        tags = running.tags(REPOSITORY)

    assert found["mediaType"] == OCI_INDEX
    assert [item["digest"] for item in found["manifests"]] == digests
    assert [item["platform"] for item in found["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    assert stored is not None
    assert json.loads(stored) == found
    assert tags == ["v1"]


@pytest.mark.parametrize("auth", ["htpasswd", "token"])
def test_many_who_ask_at_once_are_all_let_in(auth: Auth) -> None:
    async def ask(running: Registry) -> list[list[str]]:
        async with shelf(running) as place:
            return await asyncio.gather(
                *(place.client.tags(REPOSITORY) for _ in range(8))
            )

    with registry(auth) as running:
        assert asyncio.run(ask(running)) == [[]] * 8


async def test_the_same_platforms_in_any_order_are_the_same_bytes(
    box: Registry,
) -> None:
    async with shelf(box) as place:
        platforms = await both(place)
        first = await publish_list(place.client, REPOSITORY, "same", platforms)
        second = await publish_list(place.client, REPOSITORY, "same", platforms[::-1])

    assert first == second


async def test_images_of_docker_make_a_list_of_docker(box: Registry) -> None:
    async with shelf(box) as place:
        platforms = tuple(
            [await place.image(item, media_type=DOCKER_MANIFEST) for item in BOTH]
        )
        await publish_list(place.client, REPOSITORY, "docker", platforms)
        found = await place.client.manifest(REPOSITORY, "docker")

    assert found.media_type == DOCKER_LIST


async def test_one_platform_alone_stands_under_the_tag_itself(box: Registry) -> None:
    async with shelf(box) as place:
        image = await place.image("linux/arm64")
        digest = await publish_list(place.client, REPOSITORY, "one", (image,))

    assert digest == image.digest


async def test_an_image_of_another_architecture_is_never_given_a_tag(
    box: Registry,
) -> None:
    async with shelf(box) as place:
        good = await place.image("linux/amd64")
        lies = await place.image("linux/arm64", claims="linux/amd64")

        with pytest.raises(RegistryError, match="pushed as linux/arm64"):
            await publish_list(place.client, REPOSITORY, "wrong", (good, lies))

        assert "wrong" not in await place.client.tags(REPOSITORY)


async def test_a_platform_that_never_arrived_is_told_and_nothing_is_tagged(
    box: Registry,
) -> None:
    async with shelf(box) as place:
        good = await place.image("linux/amd64")
        gone = PublishedPlatform("linux/arm64", "", "sha256:" + "0" * 64)

        with pytest.raises(RegistryError) as caught:
            await publish_list(place.client, REPOSITORY, "half", (good, gone))

        assert caught.value.kind is ErrorKind.NOT_FOUND
        assert "half" not in await place.client.tags(REPOSITORY)


async def test_a_list_is_no_platform(box: Registry) -> None:
    async with shelf(box) as place:
        platforms = await both(place)
        digest = await publish_list(place.client, REPOSITORY, "inner", platforms)
        nested = PublishedPlatform("linux/amd64", "", digest)

        with pytest.raises(RegistryError, match="not one image"):
            await publish_list(
                place.client, REPOSITORY, "outer", (nested, platforms[1])
            )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("PUT", "manifests/torn", "lie"), ErrorKind.DIGEST_MISMATCH),
        (Fault("GET", "manifests/torn", "swap"), ErrorKind.DIGEST_MISMATCH),
        (Fault("GET", "manifests/torn", "truncate"), ErrorKind.TRUNCATED),
        (Fault("PUT", "manifests/torn", status=503), ErrorKind.SERVER_ERROR),
        (Fault("GET", "blobs/sha256", "swap"), ErrorKind.DIGEST_MISMATCH),
    ],
)
def test_a_registry_that_lies_is_not_believed(
    box: Registry, fault: Fault, kind: ErrorKind
) -> None:
    async def publish(host: str) -> None:
        async with shelf(box) as place:
            platforms = await both(place)
        async with shelf(box, host) as place:
            await publish_list(place.client, REPOSITORY, "torn", platforms)

    with fault_proxy(box.host) as front:
        front.faults.append(fault)
        with pytest.raises(RegistryError) as caught:
            asyncio.run(publish(front.host))

    assert caught.value.kind is kind
