"""The containers that the gateway keeps for single sessions of a server: seen, and taken away with their instance.

The gateway makes and ends them. Here they are neither instances nor strays.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiodocker

from appliance.core import labels
from appliance.runtimes.model import SessionContainer

#: Told to terminate, they have so many seconds; their stdin was closed when the gateway lost its route.
GRACE_S = 3


def is_sessions(container: Any) -> bool:
    """Tell whether a listed container is a session's, and so no instance."""
    return labels.SESSION in (container["Labels"] or {})


async def sessions_of(client: aiodocker.Docker, owner: str, **wanted: str) -> list[Any]:
    """Return the session containers of one installation.

    Args:
        wanted: More labels they carry: ``instance``, ``server``.
    """
    names = {"instance": labels.INSTANCE, "server": labels.SERVER}
    found = [labels.SESSION, f"{labels.OWNER}={owner}"]
    found += [f"{names[name]}={value}" for name, value in wanted.items()]
    listed: list[Any] = await client.containers.list(
        all=True, filters=json.dumps({"label": found})
    )
    return listed


async def stop_all(containers: list[Any]) -> None:
    """Tell all to terminate, at once; those that went in the meantime went."""

    async def stop(container: Any) -> None:
        with contextlib.suppress(aiodocker.DockerError):
            await container.stop(t=GRACE_S)

    await asyncio.gather(*map(stop, containers))


def session(container: Mapping[str, Any]) -> SessionContainer:
    """Return a listed container as the port promises it."""
    own = container["Labels"]
    return SessionContainer(
        session=own[labels.SESSION],
        instance=own[labels.INSTANCE],
        container_id=container["Id"],
        is_running=container["State"] == "running",
        created_at=datetime.fromtimestamp(container["Created"], UTC),
    )
