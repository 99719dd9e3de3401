"""The ports of what runs instances: the contracts that ``tests/contract`` holds every implementation to."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from appliance.runtimes.isolation import DataUse
from appliance.runtimes.model import (
    ExecutorDescriptor,
    ExecutorEvent,
    Instance,
    InstanceSpec,
    InstanceState,
    LogLine,
    SessionContainer,
)
from appliance.runtimes.pressure import Pressure
from appliance.runtimes.volume_model import (
    Entry,
    Incoming,
    ListFrom,
    Listing,
    Parts,
    Usage,
    VolumeOwner,
)


class Executor(Protocol):
    """Runs instances.

    Every method may be called again after a crash in the middle of it and then ends in
    the same state. Environment values never reach a log. All raise
    ``EngineUnavailableError`` when the engine does not answer.
    """

    @property
    def name(self) -> str:
        """What instances' records call it."""
        ...

    async def describe(self) -> ExecutorDescriptor:
        """Return what this executor can do, as its engine says now."""
        ...

    async def states(self) -> Mapping[str, tuple[int, InstanceState]]:
        """Return server and state of every instance, by its container, from one look."""
        ...

    async def data_uses(self, server_ids: Collection[int]) -> Mapping[int, DataUse]:
        """Return how full the /data of these servers is, but of those of which it cannot be seen."""
        ...

    async def pressures(self, container_ids: Collection[str]) -> Mapping[str, Pressure]:
        """Return how often these containers were held back by their limits, but of those of which it cannot be seen."""
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

    async def image_id(self, reference: str) -> str:
        """Return the id of the image that instances of ``reference`` run; empty if there is none."""
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


class OpenVolume(Protocol):
    """One server's files, for one thing at a time.

    No path leads out of the volume, whatever the server does with its files meanwhile: no link is ever followed. What
    cannot be done raises ``VolumeRefusedError`` and leaves everything as it was; ``VolumeLostError`` says that the look
    was cut off. A file has its name only once it is whole.
    """

    async def list(self, path: Parts, after: ListFrom | None, limit: int) -> Listing:
        """Return up to ``limit`` entries of a folder, from the first one behind ``after``."""
        ...

    async def stat(self, path: Parts) -> Entry:
        """Return what is at ``path``."""
        ...

    async def usage(self) -> Usage:
        """Return how full the volume is; reads every folder."""
        ...

    async def open(self, path: Parts, *, checksum: bool) -> tuple[Entry, str]:
        """Open a file for ``read``; return what it is and, if asked for, its SHA-256 in hex."""
        ...

    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of the open file; less if the server shortened it."""
        ...

    async def write(
        self, path: Parts, incoming: Incoming, pieces: AsyncIterator[bytes]
    ) -> tuple[Entry, str]:
        """Store a file as the server's own user; return what it is and its SHA-256 in hex."""
        ...

    async def make_folder(self, path: Parts, *, parents: bool) -> Entry:
        """Make a folder."""
        ...

    async def remove(self, path: Parts, *, recursive: bool) -> int:
        """Remove what is at ``path``; return how many entries went."""
        ...

    async def move(self, path: Parts, to: Parts, *, overwrite: bool) -> Entry:
        """Give what is at ``path`` another name or place."""
        ...


class Volumes(Protocol):
    """Opens servers' volumes, whether the server runs or not."""

    def open(self, owner: VolumeOwner) -> AbstractAsyncContextManager[OpenVolume]:
        """Give a look into a server's volume, which is made if it is not there.

        Raises:
            EngineUnavailableError: The engine does not answer.
            ImageMissingError: The image is not there.
            StartFailedError: The engine refused.
        """
        ...
