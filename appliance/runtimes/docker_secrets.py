"""Secrets of containers: their directory in memory, filled before a container starts, gone with it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from appliance.infra.memory_files import MemoryFiles
from appliance.infra.static_shell import static_shell
from appliance.runtimes.model import InstanceSpec
from appliance.runtimes.secret_entry import SecretPlaces

#: Returns, for a server, what hides its secrets in a text.
Hiding = Callable[[int], Awaitable[Callable[[str], str]]]


async def hide_nothing(_server_id: int) -> Callable[[str], str]:
    """Stand for a ``Hiding`` where nothing is secret."""
    return str


class ContainerSecrets:
    """What containers on one engine get.

    Args:
        files: Where values lie in memory; ``None``: nowhere.
    """

    def __init__(self, files: MemoryFiles | None) -> None:
        """Make nothing yet."""
        self._files = files or MemoryFiles(None)

    async def prepare(self, spec: InstanceSpec) -> SecretPlaces:
        """Return where the instance's directory is, made; it is mounted, so it must be there before the container is.

        Raises:
            NoMemoryError: It has secrets, and there is no memory for them.
        """
        if not spec.secrets:
            return SecretPlaces()

        def make() -> SecretPlaces:
            return SecretPlaces(self._files.make(spec.name), static_shell())

        return await asyncio.to_thread(make)

    async def fill(self, spec: InstanceSpec, found: Mapping[str, Any]) -> None:
        """Put the values where the container ``found`` sees them; after a restart of the box nothing of them was left."""
        if not spec.secrets:
            return
        uid, _, gid = found["Config"]["User"].partition(":")
        values = {
            item.name: item.value.get_secret_value().encode() for item in spec.secrets
        }
        await asyncio.to_thread(
            self._files.fill, spec.name, values, uid=int(uid), gid=int(gid or uid)
        )

    async def remove(self, name: str) -> None:
        """Remove an instance's directory. Unknown: nothing to do."""
        await asyncio.to_thread(self._files.remove, name)
