"""The door through which the engine pushes: a registry's API on loopback, for as long as a push is under way.

The engine compresses, knows which layers it has sent, and skips what arrived; but it also wants credentials, tries again as it
sees fit, and tells of failures in its own words. So it pushes to this door. The door sends each request on to the registry,
with the credentials, and sees each status, header and error.

Every push has a ``Passage`` of its own behind an unguessable first part of the path; nothing else is answered.
"""

import asyncio
import errno
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from appliance.core.errors import UnavailableError
from appliance.registry.client import RegistryClient
from appliance.registry.passage import Passage

LOOPBACK = "127.0.0.1"
#: First part of every name that is pushed here; the installation and a secret follow.
MARK = "mcp-host-push"
_PATH = re.compile(r"/v2/(?P<secret>[a-z0-9-]+)/(?P<rest>.+)")
_HEADERS = {"Docker-Distribution-Api-Version": "registry/2.0"}


class DoorShutError(UnavailableError):
    """The loopback port through which the engine pushes cannot be had."""

    code = "registry_door_shut"


class Door:
    """A listener on loopback, opened at first use.

    Args:
        owner: This installation's id.
        port: 0: any free one.
    """

    def __init__(self, owner: str, *, port: int = 0) -> None:
        """Keep the parts; nothing listens yet."""
        self._owner = owner
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._passages: dict[str, Passage] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def open(
        self, client: RegistryClient, repository: str
    ) -> AsyncIterator[Passage]:
        """Let one push pass to ``repository``; at the end whatever is still under way is cut.

        Raises:
            DoorShutError: The port is in use.
        """
        address = await self._listen()
        secret = f"{MARK}-{self._owner}-{secrets.token_hex(16)}"
        passage = Passage(client, repository, f"{address}/{secret}/{repository}")
        self._passages[secret] = passage
        try:
            yield passage
        finally:
            del self._passages[secret]
            passage.close()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _listen(self) -> str:
        async with self._lock:
            if self._runner is None:
                self._runner = await self._start()
            address: tuple[str, int] = self._runner.addresses[0]
            return f"{address[0]}:{address[1]}"

    async def _start(self) -> web.ServerRunner:
        # Engines try TLS first, and what they say then is an error in any other server's log.
        quiet = logging.getLogger("registry.door")
        quiet.setLevel(logging.CRITICAL)
        server = web.Server(self._answer, logger=quiet, access_log=None)
        runner = web.ServerRunner(
            server, handler_cancellation=True, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, self._port).start()
        except OSError as error:
            await runner.cleanup()
            if error.errno != errno.EADDRINUSE:
                raise
            raise DoorShutError(
                f"Port {self._port} of {LOOPBACK} is in use, and the engine should push through it.",
                hint="Stop the other program, or set REGISTRY_DOOR_PORT to another port or to 0.",
            ) from error
        return runner

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v2/" and self._passages:
            return web.json_response({}, headers=_HEADERS)
        found = _PATH.fullmatch(request.path)
        passage = self._passages.get(found["secret"]) if found else None
        if found is None or passage is None:
            return web.json_response({"errors": []}, status=404, headers=_HEADERS)
        answer = await passage.answer(request, found["rest"])
        answer.headers.update(_HEADERS)
        return answer
