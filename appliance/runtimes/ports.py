"""The Executor port: the contract that ``tests/contract/test_executor.py`` holds every implementation to."""

from collections.abc import AsyncIterator
from typing import Protocol

from appliance.runtimes.model import (
    ExecutorDescriptor,
    ExecutorEvent,
    Instance,
    InstanceSpec,
    LogLine,
    SessionContainer,
)


class Executor(Protocol):
    """Runs instances.

    Every method may be called again after a crash in the middle of it and then ends in
    the same state. Environment values never reach a log. All raise
    ``EngineUnavailableError`` when the engine does not answer.
    """

    @property
    def descriptor(self) -> ExecutorDescriptor:
        """What this executor can do."""
        ...

    async def check(self) -> str:
        """Return the engine's version in words; used by ``/readyz``."""
        ...

    async def start(self, spec: InstanceSpec) -> Instance:
        """Create what ``spec`` describes, or find it by name, and start it.

        Raises:
            ImageMissingError: The image is not there.
            StartFailedError: The engine refused; carries what it said. Nothing stays
                behind.
        """
        ...

    async def stop(self, name: str, *, grace_s: float = 10) -> None:
        """End the instance: its stdin is closed or it is told to terminate, then killed. Unknown or ended: nothing to do.

        The containers of its sessions end with it.
        """
        ...

    async def remove(self, name: str) -> None:
        """Remove the instance, running or not, and the containers of its sessions. Unknown: nothing to do."""
        ...

    async def remove_server(self, server_id: int) -> None:
        """Remove every instance, the network, the volume and the images built for a server. Unknown: nothing to do."""
        ...

    async def remove_image(self, reference: str) -> None:
        """Remove an image unless something still uses it. Unknown: nothing to do."""
        ...

    async def instances(self, server_id: int | None = None) -> list[Instance]:
        """Return all instances of this appliance, or of one server, whether they run or not."""
        ...

    async def sessions(self, server_id: int) -> list[SessionContainer]:
        """Return the containers that sessions of one server have for themselves, oldest first; they are no instances."""
        ...

    async def tail(self, name: str, *, lines: int = 50) -> list[LogLine]:
        """Return the last lines that the instance printed, oldest first; empty if unknown."""
        ...

    def follow(self, name: str, *, lines: int = 200) -> AsyncIterator[LogLine]:
        """Yield the last lines and then new ones until the instance ends."""
        ...

    def events(self) -> AsyncIterator[ExecutorEvent]:
        """Yield what happens to instances, for ever; reconnects by itself, and then yields ``reconnected`` first."""
        ...
