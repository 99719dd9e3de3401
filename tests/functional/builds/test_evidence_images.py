"""Looking into real images on the real engine."""

import asyncio
import io
import secrets
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.core import labels
from appliance.evidence.errors import ImageGoneError
from appliance.evidence.image_files import HELPER, ImageFiles
from appliance.infra.docker import Engine
from tests.engine import Box, docker
from tests.harness.busybox import busybox

RUN_ID = 4711


@pytest.fixture
def files(engine: Engine, box: Box) -> ImageFiles:
    """What looks into images for the fresh installation."""
    return ImageFiles(engine, owner=box.owner)


@dataclass
class Workshop:
    """Makes images of what lies in a directory."""

    directory: Path
    made: list[str] = field(default_factory=list)

    def build(self, dockerfile: str, *options: str) -> str:
        """Return the id of what buildx makes of ``dockerfile``."""
        tag = f"mcp-host-test/{secrets.token_hex(4)}:1"
        (self.directory / "Dockerfile").write_text(dockerfile)
        docker(
            "buildx", "build", "--builder", "default", "--load", "-q", *options,
            "-t", tag, str(self.directory),
        )  # fmt: skip
        self.made.append(tag)
        return docker("image", "inspect", "--format", "{{.Id}}", tag)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A place to build; its images go with the test."""
    directory = tmp_path / "context"
    directory.mkdir()
    opened = Workshop(directory)
    yield opened
    if opened.made:
        docker("rmi", "-f", *opened.made)


def write_wheel(directory: Path) -> None:
    """Write a Python package, so that the real installer installs it without a network."""
    info = "clockwork-1.5.dist-info"
    with zipfile.ZipFile(directory / "clockwork-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("clockwork.py", "")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.4\nName: clockwork\nVersion: 1.5\nLicense-Expression: MIT\n",
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")


def write_package(directory: Path) -> None:
    """Write an npm package, to the same end."""
    text = b'{"name": "@tick/tock", "version": "2.0.1", "license": "ISC"}'
    with tarfile.open(directory / "tock.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))


async def test_what_pip_npm_and_debian_installed_is_found_in_an_image_of_our_base(
    files: ImageFiles, base_image: str, workshop: Workshop
) -> None:
    write_wheel(workshop.directory)
    write_package(workshop.directory)
    image_id = workshop.build(
        f"FROM {base_image}\nUSER root\nENV PATH=/opt/mcp/node/bin:$PATH\nCOPY *.whl *.tgz /packages/\n"
        "RUN uv venv -q /srv/venv && uv pip install -q --offline --python /srv/venv/bin/python /packages/*.whl\n"
        "RUN mkdir /srv/app && cd /srv/app && npm install --offline --no-audit --no-fund /packages/tock.tgz\n",
    )

    found = await files.inventory(image_id, run_id=RUN_ID)

    by_purl = {item.purl: item for item in found.packages}
    assert by_purl["pkg:pypi/clockwork@1.5"].licences == ("MIT",)
    assert by_purl["pkg:npm/%40tick/tock@2.0.1"].licences == ("ISC",)
    assert found.distribution.id == "debian"
    listed = {item.name: item.version for item in found.packages if item.purl.startswith("pkg:deb/")}  # fmt: skip
    told = docker(
        "run", "--rm", "--network", "none",
        "--entrypoint", "dpkg-query", image_id, "-W", "-f", "${Package} ${Version}\n",
    )  # fmt: skip
    assert listed == dict(line.split() for line in told.splitlines())
    assert any(path.endswith("srv/app/package-lock.json") for path in found.locks)
    assert found.omissions == []


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
async def test_an_image_from_scratch_is_told_by_its_files_whatever_its_platform(
    files: ImageFiles, workshop: Workshop, platform: str, box: Box
) -> None:
    (workshop.directory / "busybox").write_bytes(busybox(platform).read_bytes())
    image_id = workshop.build(
        "FROM scratch\nCOPY busybox /bin/busybox\n",
        "--platform",
        platform,
    )

    found = await files.inventory(image_id, run_id=RUN_ID)

    assert box.containers() == []
    assert found.packages == []
    told = {item.path: item for item in found.files}
    size = busybox(platform).stat().st_size
    assert told["bin/busybox"].size_bytes == size
    assert len(told["bin/busybox"].sha256) == 64


async def test_an_image_that_is_gone_is_named(files: ImageFiles) -> None:
    with pytest.raises(ImageGoneError):
        await files.inventory(f"sha256:{'0' * 64}", run_id=RUN_ID)


async def test_what_a_killed_attempt_left_goes_with_the_next(
    files: ImageFiles, workshop: Workshop, box: Box
) -> None:
    (workshop.directory / "a").write_text("a")
    image_id = workshop.build("FROM scratch\nCOPY a /a\n")
    docker(
        "create", "--label", f"{labels.OWNER}={box.owner}",
        "--label", f"{labels.RUN}={RUN_ID}", "--label", f"{labels.HELPER}={HELPER}",
        image_id, "/a",
    )  # fmt: skip
    docker("create", "--label", f"{labels.OWNER}={box.owner}", image_id, "/other")

    await files.inventory(image_id, run_id=RUN_ID)

    assert len(box.containers()) == 1  # the other one, which is none of ours


async def test_cancelling_leaves_nothing(
    files: ImageFiles, base_image: str, box: Box
) -> None:
    image_id = docker("image", "inspect", "--format", "{{.Id}}", base_image)
    task = asyncio.create_task(files.inventory(image_id, run_id=RUN_ID))
    while not await asyncio.to_thread(box.containers):
        await asyncio.sleep(0.02)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(box.containers) == []
