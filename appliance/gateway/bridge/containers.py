"""Makes and ends the containers of single sessions. None is left: what nobody keeps is swept away."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import structlog

from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.gateway.bridge.clones import clone_config, clone_name
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.engine_http import words
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.errors import EngineAwayError, SessionStartError

log = structlog.get_logger("gateway.sessions")

#: Making and starting a container takes longer than asking for one, on a busy box.
CONTROL_WITHIN_S = 60.0
#: Seconds that a server has to end by itself when its stdin is closed, and then when it is told to terminate.
END_BY_ITSELF_S = 2.0
TERMINATE_S = 3
SWEEP_EVERY_S = 60.0
#: Containers that are made at once; more wait, so that a rush of clients leaves the engine time for others.
STARTS_AT_ONCE = 2
#: The claim of the bridge that keeps sessions; a predecessor that ends its last calls still has it.
_ALL = "sessions"


class SessionContainers:
    """The containers of all sessions of this gateway.

    Args:
        gateway: This gateway's mark; what carries another is never touched.
    """

    def __init__(self, engine: Engine, files: HandshakeFiles, gateway: str) -> None:
        """Keep none yet."""
        self._engine = engine
        self._files = files
        self._gateway = gateway
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._kept: set[str] = set()
        #: Names of containers that are being made, whose ids are not known yet.
        self._making: set[str] = set()
        #: Of the containers that are kept, by id.
        self._names: dict[str, str] = {}

    async def start(self, instance: str, key: str) -> str:
        """Make a container for session ``key`` beside container ``instance``, start it, and return its id.

        Raises:
            InstanceGoneError: The instance's container is gone.
            SessionStartError: The engine refuses; nothing stays behind.
            EngineAwayError: The engine does not answer.
        """
        async with self._starts:
            # The engine goes on with what it was asked, whether anybody still waits or not.
            starting = asyncio.create_task(self._start(instance, key))
            try:
                return await asyncio.shield(starting)
            except asyncio.CancelledError:
                with contextlib.suppress(DomainError):
                    await self._remove(await starting)
                raise

    async def end(self, container_id: str) -> None:
        """End a container whose stdin was closed: give it a moment, tell it to terminate, kill it; and remove it.

        What the engine does not do now is done by a later sweep.
        """
        with contextlib.suppress(EngineAwayError):
            if not await self._has_ended(container_id):
                path = f"/containers/{container_id}/stop?t={TERMINATE_S}"
                await self._control("POST", path)
        await self._remove(container_id)
        log.info("session_ended", container_id=container_id)

    async def sweep(self) -> None:
        """Remove what an earlier bridge left, and what could not be removed when it should have been.

        Raises:
            EngineAwayError: The engine does not answer.
        """
        strays = [
            container_id
            for container_id, name in await self._found()
            if container_id not in self._kept and name not in self._making
        ]
        if strays:
            log.info("stray_sessions", container_ids=strays)
        await asyncio.gather(*map(self.end, strays))

    async def keep_swept(self) -> None:
        """Sweep now and then, for ever, once no other bridge of this gateway keeps sessions."""
        await self._files.claims.take(_ALL)
        while True:
            with contextlib.suppress(EngineAwayError):
                await self.sweep()
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _start(self, instance: str, key: str) -> str:
        found = await self._engine.describe(instance)
        config = clone_config(found, key=key, gateway=self._gateway)
        name = clone_name(found, key)
        # The session's calls may still be open in a container that a predecessor of this bridge keeps.
        await self._files.claims.take(name)
        try:
            container_id = await self._make(name, config)
        except BaseException:
            self._files.claims.release(name)
            raise
        self._names[container_id] = name
        try:
            await self._begin(container_id)
        except DomainError:
            await self._remove(container_id)
            raise
        log.info("session_started", container_id=container_id, instance=instance)
        return container_id

    async def _make(self, name: str, config: Mapping[str, Any]) -> str:
        self._making.add(name)
        try:
            container_id = await self._create(name, config)
            self._kept.add(container_id)
        finally:
            self._making.discard(name)
        return container_id

    async def _create(self, name: str, config: Mapping[str, Any]) -> str:
        path = f"/containers/create?name={quote(name)}"
        status, body = await self._control("POST", path, config)
        if status == HTTPStatus.CONFLICT:
            # The same session's, left by an earlier bridge, or just being removed.
            await self._control("DELETE", f"/containers/{quote(name)}?force=1&v=1")
            status, body = await self._control("POST", path, config)
        if status != HTTPStatus.CREATED:
            raise SessionStartError(
                f"The engine refused to make the session's container: {words(body)}"
            )
        return str(msgspec.json.decode(body)["Id"])

    async def _begin(self, container_id: str) -> None:
        status, body = await self._control("POST", f"/containers/{container_id}/start")
        if status != HTTPStatus.NO_CONTENT:
            raise SessionStartError(
                f"The engine refused to start the session's container: {words(body)}"
            )

    async def _has_ended(self, container_id: str) -> bool:
        """Wait a moment for it."""
        path = f"/containers/{container_id}/wait"
        with contextlib.suppress(EngineAwayError):
            await self._engine.http.request("POST", path, within_s=END_BY_ITSELF_S)
            return True
        return False

    async def _remove(self, container_id: str) -> None:
        self._kept.discard(container_id)
        with contextlib.suppress(EngineAwayError):
            await self._control("DELETE", f"/containers/{container_id}?force=1&v=1")
        await asyncio.to_thread(self._files.forget, container_id)
        if (name := self._names.pop(container_id, None)) is not None:
            await asyncio.to_thread(self._files.claims.forget, name)
            self._files.claims.release(name)

    async def _found(self) -> list[tuple[str, str]]:
        """Return ids and names."""
        filters = {"label": [labels.SESSION, f"{labels.GATEWAY}={self._gateway}"]}
        path = f"/containers/json?all=1&filters={quote(json.dumps(filters))}"
        status, body = await self._control("GET", path)
        if status != HTTPStatus.OK:
            raise EngineAwayError(f"The engine did not list containers: {words(body)}")
        return [
            (item["Id"], item["Names"][0].lstrip("/"))
            for item in msgspec.json.decode(body)
        ]

    async def _control(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, bytes]:
        return await self._engine.http.request(
            method, path, body, within_s=CONTROL_WITHIN_S
        )
