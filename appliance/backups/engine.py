"""Volumes and images as streams, by the engine's own command line.

What lies in a volume is read and written through a container that is never started: of an image without any file, so that
nothing but the volume is in it, and no link of the server's leads anywhere else.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from appliance.core import labels
from appliance.infra.pipes import ProgramFailedError, input_of, output_of, text_of

DATA = "/data"
#: Marks our containers that only look.
HELPER = "backup"
_EMPTY_TAR = bytes(10240)
_EMPTY = "empty"


@dataclass(frozen=True)
class FoundImage:
    """An image on the engine."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int


@dataclass
class Engine:
    """One engine, asked by argv.

    Args:
        address: As ``DOCKER_HOST`` says it; ``None``: the local one.
        owner: This installation's id.
    """

    address: str | None
    owner: str

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"DOCKER_HOST": self.address} if self.address else {}

    def _text(self, *words: str) -> str:
        return text_of(["docker", *words], environment=self._environment)

    # -- what is there

    def volumes(self) -> dict[int, str]:
        """Return the volume of each server."""
        text = self._text(
            "volume", "ls", "--quiet", "--filter", f"label={labels.OWNER}={self.owner}"
        )
        begin = f"mcp-{self.owner}-"
        return {
            int(number): name
            for name in text.split()
            if (number := name.removeprefix(begin)).isdecimal()
        }

    def mount_point(self, volume: str) -> str:
        """Return where the engine mounts a volume."""
        return self._text(
            "volume", "inspect", "--format", "{{.Mountpoint}}", volume
        ).strip()

    def running_servers(self) -> set[int]:
        """Return whose containers run."""
        template = '{{.Label "' + labels.SERVER + '"}}'
        text = self._text(
            "ps", "--filter", f"label={labels.OWNER}={self.owner}", "--format", template
        )
        return {int(word) for word in text.split() if word.isdecimal()}

    def images(self, references: Collection[str]) -> dict[str, FoundImage]:
        """Return what the engine has of these images."""
        found = {}
        for reference in sorted(references):
            try:
                (data,) = json.loads(self._text("image", "inspect", reference))
            except ProgramFailedError:
                continue  # it is not there
            found[reference] = _image(data)
        return found

    def has_image(self, reference: str) -> bool:
        """Tell whether an image is there."""
        return bool(self.images([reference]))

    def has_containers(self) -> bool:
        """Tell whether anything of this installation is on the engine."""
        mark = f"label={labels.OWNER}={self.owner}"
        return bool(
            self._text("ps", "--all", "--quiet", "--filter", mark).split()
            or self.volumes()
        )

    # -- streams

    @contextmanager
    def saved(self, names: Sequence[str]) -> Iterator[IO[bytes]]:
        """Give these images as one archive; what they share is in it once."""
        with output_of(
            ["docker", "save", *names], environment=self._environment
        ) as stream:
            yield stream

    @contextmanager
    def loading(self) -> Iterator[IO[bytes]]:
        """Give where to write such an archive."""
        with input_of(["docker", "load"], environment=self._environment) as stream:
            yield stream

    @contextmanager
    def copied_out(self, volume: str) -> Iterator[IO[bytes]]:
        """Give what lies in a volume as an archive."""
        with self.looking(volume) as container, self.copied_out_of(container) as stream:
            yield stream

    @contextmanager
    def copied_out_of(self, container: str) -> Iterator[IO[bytes]]:
        """Give the same through a container of ``looking``."""
        argv = ["docker", "cp", f"{container}:{DATA}", "-"]
        with output_of(argv, environment=self._environment) as stream:
            yield stream

    @contextmanager
    def copied_in(self, volume: str) -> Iterator[IO[bytes]]:
        """Give where to write such an archive; owners and modes are those in it."""
        with self.looking(volume) as container:
            argv = ["docker", "cp", "-", f"{container}:/"]
            with input_of(argv, environment=self._environment) as stream:
                yield stream

    @contextmanager
    def looking(self, volume: str) -> Iterator[str]:
        """Give a container that sees a volume, and never runs."""
        marks = {labels.OWNER: self.owner, labels.HELPER: HELPER}
        container = self._text(
            "create",
            *[word for item in marks.items() for word in ("--label", "=".join(item))],
            "--network=none",
            f"--mount=type=volume,source={volume},target={DATA},volume-nocopy",
            self._empty_image(),
            "nothing",
        ).strip()
        try:
            yield container
        finally:
            self._text("rm", "--force", container)

    def _empty_image(self) -> str:
        name = f"{labels.IMAGE_PREFIX}{_EMPTY}:{self.owner}"
        if not self.has_image(name):
            with input_of(
                ["docker", "import", "-", name], environment=self._environment
            ) as stream:
                stream.write(_EMPTY_TAR)
        return name

    # -- changes

    def pull(self, reference: str, name: str, *, config: str | None = None) -> None:
        """Pull an image by digest and give it a name of ours.

        Raises:
            ProgramFailedError: Its registry does not give it.
        """
        with_config = {"DOCKER_CONFIG": config} if config else {}
        text_of(
            ["docker", "pull", "--quiet", reference],
            environment={**self._environment, **with_config},
        )
        self.tag(reference, name)

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name."""
        self._text("tag", image, name)

    def clean_up(self) -> None:
        """Remove what a look that was cut off left, and the image that looks are made of."""
        marks = [
            f"label={labels.OWNER}={self.owner}",
            f"label={labels.HELPER}={HELPER}",
        ]
        filters = [word for mark in marks for word in ("--filter", mark)]
        for container in self._text("ps", "--all", "--quiet", *filters).split():
            self._text("rm", "--force", container)
        name = f"{labels.IMAGE_PREFIX}{_EMPTY}:{self.owner}"
        if self.has_image(name):
            self._text("image", "rm", name)

    def remove_containers(self) -> None:
        """Remove the containers of this installation, which is being replaced."""
        mark = f"label={labels.OWNER}={self.owner}"
        for container in self._text("ps", "-aq", "--filter", mark).split():
            self._text("rm", "--force", "--volumes", container)

    def remove_volume(self, volume: str) -> None:
        """Remove a volume, which may be gone already."""
        if volume in self.volumes().values():
            self._text("volume", "rm", volume)


def _image(data: Mapping[str, Any]) -> FoundImage:
    return FoundImage(
        str(data["Id"]),
        tuple(data.get("RepoTags") or ()),
        tuple(data.get("RepoDigests") or ()),
        int(data.get("Size", 0)),
    )
