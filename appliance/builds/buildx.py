"""Runs ``buildx build`` and reads what it prints."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from appliance.builds.dockerfile import BuildxCommand
from appliance.builds.emulation import explain_foreign
from appliance.builds.errors import BuildTimeoutError, BuildToolError
from appliance.builds.failures import Failure, explain
from appliance.builds.progress import PlainProgress
from appliance.infra import process
from appliance.infra.docker import Engine
from appliance.sources.model import Source

#: Where Docker's command looks for its plugins.
PLUGINS = (
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)

#: Attestations turn one image into an index, which engines without the containerd store
#: cannot load.
ENVIRONMENT = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
#: Engines from 23 on hold it.
POLICY = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"


def find_buildx() -> tuple[str, ...]:
    """Return how buildx is started: the plugin itself where it is found, else through the docker command. Blocking.

    The docker command starts the plugin as a child, which then outlives it when it is
    killed; the plugin alone does not.
    """
    for directory in PLUGINS:
        path = Path(directory).expanduser() / "docker-buildx"
        if path.is_file():
            return (str(path),)
    return ("docker", "buildx")


class Buildx:
    """The build program of this box.

    Args:
        engine: The engine that builds.
        timeout_s: Seconds a build may take.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        """Keep the parts; nothing is looked for yet."""
        self._engine = engine
        self._timeout_s = timeout_s

    async def build(
        self,
        command: BuildxCommand,
        source: Source,
        *,
        on_line: Callable[[str], None],
        mark: str,
        on_progress: Callable[[PlainProgress], None] | None = None,
    ) -> None:
        """Run one build to its end.

        Args:
            command: What is built, and how.
            source: What is being built, for the reason of a failure.
            on_line: Told of every line that a person may want to read.
            mark: Names the build, for ``process.kill_marked``.
            on_progress: Told after every line how far the steps are.

        Raises:
            EmulationMissingError: This box cannot run programs of the command's platform.
            BuildFailedError: It failed; the subclass and the text say why.
            EngineUnavailableError: The engine went away.
        """
        progress = PlainProgress()
        program = await asyncio.to_thread(find_buildx)
        environment = ENVIRONMENT | {"DOCKER_HOST": await self._engine.address()}
        if command.policy:
            environment[POLICY] = str(command.policy)

        def read(raw: str) -> None:
            if (text := progress.feed(raw)) is not None:
                on_line(text)
            if on_progress:
                on_progress(progress)

        try:
            finished = await process.run(
                command.argv(program),
                on_line=read,
                environment=environment,
                timeout_s=self._timeout_s,
                mark=mark,
            )
        except process.ProgramTimeoutError as error:
            raise BuildTimeoutError(
                f"The build took longer than {self._timeout_s:g} seconds and was stopped.",
                hint="BUILD_TIMEOUT allows more.",
                output=tuple(progress.output[-5:]),
            ) from error
        except process.ProgramMissingError as error:
            raise BuildToolError(
                error.detail, hint="Install Docker's buildx plugin."
            ) from error
        if finished.code:
            explain_foreign(command.platform, progress.output)
            raise explain(Failure(source, progress.failed_step, progress.output))
