"""Ready images and remote servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.builds.errors import (
    ImageNotFoundError,
    NetworkUnreachableError,
    RemoteRefusedError,
)
from appliance.builds.model import BuildState
from appliance.builds.service import BuildService
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.runtimes.docker import DockerExecutor
from tests.engine import Box, docker
from tests.fakes.registry import registry
from tests.functional.builds.conftest import Bench


async def test_an_image_of_this_box_is_taken_by_its_id_and_kept(
    bench: Bench, strange_image: str, docker_executor: DockerExecutor
) -> None:
    request = await bench.request({"image": strange_image})

    built = await bench.build(request)

    assert built.image == docker("image", "inspect", "-f", "{{.Id}}", strange_image)
    assert len(bench.box.images()) == 1
    await docker_executor.remove_image(built.image)
    assert bench.box.images() == []
    assert docker("image", "inspect", "-f", "{{.Id}}", strange_image) == built.image


async def test_an_image_that_exposes_a_port_speaks_http(
    bench: Bench, strange_image: str
) -> None:
    tag = f"mcp-host-test/exposes-{bench.box.owner}:1"
    docker(
        "buildx",
        "build",
        "--builder",
        "default",
        "-q",
        "--load",
        "-t",
        tag,
        "-",
        text=f"FROM {strange_image}\nEXPOSE 9000 3000\n",
    )

    built = await bench.build(await bench.request({"image": tag}))
    docker("rmi", "-f", tag)

    assert (built.resolved["transport"], built.resolved["port"]) == (
        "streamable-http",
        3000,
    )


@pytest.fixture
def published(box: Box, tmp_path: Path) -> Iterator[str]:
    """The reference of an image in a registry, which this box does not have."""
    (tmp_path / "word").write_text(box.owner)
    local = f"mcp-host-test/published-{box.owner}:1"
    text = 'FROM scratch\nCOPY word /word\nCMD ["/word"]\n'
    (tmp_path / "Dockerfile").write_text(text)
    build = ("buildx", "build", "--builder", "default", "-q", "--load")
    docker(*build, "-t", local, str(tmp_path))
    with registry(local, "owner/server", "1.2") as reference:
        docker("rmi", "-f", local)
        yield reference


async def test_an_image_is_pulled_pinned_and_later_removed(
    bench: Bench, published: str, docker_executor: DockerExecutor
) -> None:
    request = await bench.request({"image": published})

    built = await bench.build(request)

    assert built.resolved["digest"].startswith("sha256:")
    assert docker("image", "inspect", "-f", "{{.Config.Cmd}}", built.image) == "[/word]"
    assert f"Pulling {published}." in await bench.log(request)
    # Our own name alone holds it, so that it goes with the server.
    assert len(bench.box.images()) == 1
    await docker_executor.remove_image(built.image)
    assert bench.box.images() == []
    assert built.image[7:19] not in docker("images", "-aq")


async def test_a_tag_that_its_registry_does_not_have_is_said_to_be_missing(
    bench: Bench, published: str
) -> None:
    wrong = published.replace(":1.2", ":9.9")

    with pytest.raises(ImageNotFoundError, match="manifest unknown"):
        await bench.build(await bench.request({"image": wrong}))


async def test_an_image_that_is_nowhere_is_told_in_the_engines_words(
    bench: Bench,
) -> None:
    request = await bench.request({"image": "127.0.0.1:1/no/such:1"})

    with pytest.raises(
        NetworkUnreachableError, match=r"The engine says: .*connection refused"
    ):
        await bench.build(request)

    assert (await bench.view(request)).state is BuildState.FAILED
    assert bench.box.leftovers() == []


async def test_an_id_that_is_not_on_this_box_is_not_looked_for_elsewhere(
    bench: Bench,
) -> None:
    with pytest.raises(ImageNotFoundError):
        await bench.build(await bench.request({"image": f"sha256:{'0' * 64}"}))


async def test_a_remote_server_needs_no_image(
    database: Database, engine: Engine, box: Box, bench: Bench
) -> None:
    settings = box.settings.model_copy(update={"remote_allow_private": True})
    service = BuildService(database, engine, settings, owner=box.owner)
    request = await bench.request({"remote_url": "http://127.0.0.1:9/mcp"})

    built = await service.build(request, bench.on_stage)

    assert (built.image, built.resolved) == ("", {"transport": "streamable-http"})
    assert await service.build(request, bench.on_stage) == built


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.8", "2130706433"],
)
async def test_a_remote_server_must_not_mean_this_box(bench: Bench, host: str) -> None:
    request = await bench.request({"remote_url": f"http://{host}/mcp"})

    with pytest.raises(
        RemoteRefusedError, match="is a loopback, link-local or private address"
    ):
        await bench.build(request)

    assert "REMOTE_ALLOW_PRIVATE" in (await bench.view(request)).error


async def test_a_remote_name_that_does_not_resolve_is_said_so(bench: Bench) -> None:
    with pytest.raises(NetworkUnreachableError, match="does not resolve"):
        await bench.build(
            await bench.request({"remote_url": "https://nowhere.invalid/mcp"})
        )
