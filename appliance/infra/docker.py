"""The door to the container engine's API.

One client library throughout, aiodocker: it is asynchronous, so following a thousand
logs costs no threads, and it brings nothing that the hub has not loaded already, where
the synchronous SDK adds 7.5 MB (this one: 1.8).
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp

from appliance.infra.errors import EngineUnavailableError

#: aiodocker's way to say that it could not connect.
_NO_CONNECTION = 900
CONTROL_TIMEOUT_S = 60.0
#: The client library's own limit.
CONNECTIONS = 100


class Engine:
    """A pool of connections to one engine, opened at first use.

    Args:
        address: ``unix:///var/run/docker.sock`` or ``tcp://…``; ``None``: the first
            socket of ``local_sockets``.
        connections: At once; 0: any number, for whoever keeps a stream open for each
            container.
    """

    def __init__(
        self, address: str | None = None, *, connections: int = CONNECTIONS
    ) -> None:
        """Keep the address; nothing is connected yet."""
        self._address = address
        self._connections = connections
        self._client: aiodocker.Docker | None = None
        self._connector: aiohttp.BaseConnector | None = None
        self._is_closed = False

    async def address(self) -> str:
        """Return the engine's address; programs meet the same engine with it as their ``DOCKER_HOST``.

        Raises:
            EngineUnavailableError: None was given, and no engine's socket is on this
                box.
        """
        if self._address is None:
            self._address = await asyncio.to_thread(local_socket)
        return self._address

    async def client(self) -> aiodocker.Docker:
        """Return the client.

        Raises:
            EngineUnavailableError: No engine's socket was found on this box.
        """
        address = await self.address()
        if self._is_closed:
            raise _unreachable("the connection was closed")
        if self._client is None:
            scheme, _, path = address.partition("://")
            if scheme == "unix" and self._connections != CONNECTIONS:
                # The library's own is limited to a hundred; with one that is given, it takes the address as it is.
                self._connector = aiohttp.UnixConnector(path, limit=self._connections)
                address = "unix://localhost"
            self._client = aiodocker.Docker(url=address, connector=self._connector)
        return self._client

    @asynccontextmanager
    async def reach(
        self, *, timeout_s: float | None = CONTROL_TIMEOUT_S
    ) -> AsyncIterator[aiodocker.Docker]:
        """Give the client, and turn what a silent or absent engine causes into one error.

        Raises:
            EngineUnavailableError: The engine cannot be reached or did not answer in
                ``timeout_s`` seconds.
            aiodocker.DockerError: The engine answered with a refusal.
        """
        try:
            async with asyncio.timeout(timeout_s):
                yield await self.client()
        except aiodocker.DockerError as error:
            if error.status == _NO_CONNECTION:
                raise _unreachable(error.message) from error
            raise
        except TimeoutError as error:
            raise _unreachable(f"no answer within {timeout_s:g} seconds") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(str(error) or type(error).__name__) from error

    @asynccontextmanager
    async def stream(
        self, path: str, params: dict[str, str], *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Give the body of a long answer (events, logs, pruning) as it comes.

        aiodocker's own helpers for these two drop which stream a line came from, and
        cannot be subscribed to again after the engine was away; its session and its
        address serve both.

        Raises:
            EngineUnavailableError: The engine cannot be reached, or went away.
            aiodocker.DockerError: The engine answered with a refusal.
        """
        async with self.reach(timeout_s=None) as client:
            if client.api_version == "auto":
                await client.version()  # which settles it
            url = f"{client.docker_host}/{client.api_version}/{path}"
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONTROL_TIMEOUT_S)
            async with client.session.request(
                method, url, params=params, timeout=timeout
            ) as response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise aiodocker.DockerError(response.status, await response.text())
                yield response.content

    async def close(self) -> None:
        """Close every connection, for good: what still wants to ask finds the engine away."""
        self._is_closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None
        if self._connector is not None:
            await self._connector.close()
            self._connector = None


def local_sockets() -> list[Path]:
    """Return where an engine on this box listens: the system's, the user's own, Docker Desktop's."""
    own = [
        Path(f"/run/user/{os.geteuid()}/docker.sock"),
        Path.home() / ".docker/run/docker.sock",
    ]
    return [Path("/run/docker.sock"), Path("/var/run/docker.sock"), *own]


def local_socket() -> str:
    """Return the address of the engine on this box. Blocking.

    Raises:
        EngineUnavailableError: There is none.
    """
    found = next((path for path in local_sockets() if path.is_socket()), None)
    if found is None:
        raise EngineUnavailableError(
            "No container engine was found on this box.",
            hint="Install Docker and start it, or name its address in DOCKER_HOST.",
        )
    return f"unix://{found}"


def _unreachable(words: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"The container engine does not answer: {words.rstrip('.')}.",
        hint="Is Docker running? Try: docker version",
    )


def is_missing(error: aiodocker.DockerError) -> bool:
    """Tell whether the engine said that there is no such thing."""
    return int(error.status) == HTTPStatus.NOT_FOUND


def words(error: aiodocker.DockerError) -> str:
    """Return what the engine said, in one line."""
    message: Any = error.message
    return " ".join(str(message).split()) or f"status {error.status}"
