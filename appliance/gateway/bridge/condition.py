"""How the container of a stdio server fares, in words for whoever waits for it."""

import asyncio
from collections.abc import Callable

from appliance.core.errors import DomainError
from appliance.core.known_values import hide_everything
from appliance.gateway.bridge.engine import Container, Engine
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.output import KEPT_LINES, ServerOutput
from appliance.gateway.errors import (
    ConnectionLostError,
    EngineAwayError,
    InstanceEndedError,
    InstanceGoneError,
)

#: Returns what hides a server's secrets in what it printed; ``None``: it has none.
Hider = Callable[[], Callable[[str], str] | None]


class Condition:
    """Asks the engine about one container.

    Args:
        files: Where what its server said is kept; forgotten when it is gone.
        output: What its server printed last.
        hider: Says what of that nobody may read. Blocking.
    """

    def __init__(
        self,
        container_id: str,
        engine: Engine,
        files: HandshakeFiles,
        output: ServerOutput,
        *,
        hider: Hider,
    ) -> None:
        """Ask nothing yet; what was printed is hidden until it is known what of it must be."""
        self.hide: Callable[[str], str] = hide_everything
        self._hider = hider
        self._container_id = container_id
        self._engine = engine
        self._files = files
        self._output = output

    async def know(self) -> None:
        """Learn what of the server's output nobody may read; it may have changed."""
        found = await asyncio.to_thread(self._hider)
        self.hide = str if found is None else found

    async def running(self) -> Container:
        """Return the container.

        Raises:
            InstanceEndedError: It does not run.
            InstanceGoneError: There is none, or it may not be attached to.
            EngineAwayError: The engine does not answer.
        """
        try:
            container = await self._engine.inspect(self._container_id)
        except InstanceGoneError:
            await asyncio.to_thread(self._files.forget, self._container_id)
            raise
        if not container.is_attachable:
            raise InstanceGoneError("That container was not made for a stdio server.")
        if not container.is_running:
            raise await self._ended(container)
        return container

    async def why_lost(self) -> DomainError:
        """Return why its server says nothing any more."""
        try:
            container = await self._engine.inspect(self._container_id)
        except (EngineAwayError, InstanceGoneError) as error:
            return error
        if container.is_running:
            return ConnectionLostError(
                "The connection to the server broke; whether the call was done is not known."
            )
        return await self._ended(container)

    async def last_words(self) -> str:
        """Return the server's last words as the end of a sentence, or nothing."""
        if not self._output.stderr:
            self._output.remember_stderr(
                await self._engine.stderr_tail(self._container_id, KEPT_LINES)
            )
        await self.know()
        return self._output.last_words(self.hide)

    async def _ended(self, container: Container) -> InstanceEndedError:
        words = await self.last_words()
        return InstanceEndedError(f"The server {container.ending()}.{words}")
