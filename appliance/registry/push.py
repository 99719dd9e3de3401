"""Pushes one platform's image: names it at the door, lets the engine push, reads the manifest back."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiodocker

from appliance.core.errors import UnavailableError
from appliance.core.images import PlatformImage
from appliance.infra.docker import Engine, words
from appliance.infra.errors import EngineUnavailableError
from appliance.registry.attempts import Attempts, Reporter
from appliance.registry.door import Door
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import DOCKER_LIST, OCI_INDEX
from appliance.registry.passage import Passage
from appliance.registry.telemetry import Event

TAG = "push"
#: Seconds that the engine may say nothing beyond what the registry may.
ENGINE_PATIENCE_S = 120.0
#: Seconds that taking the name away may hold up a cancelled push.
CLEAN_UP_S = 0.5
#: Seconds between two lines on one layer's progress.
TELL_EVERY_S = 2.0
MEGABYTE = 1_000_000
_TOLD = ("Pushed", "Layer already exists", "Mounted from")


@dataclass(frozen=True)
class Push:
    """One platform's push."""

    engine: Engine
    door: Door
    attempts: Attempts
    image: PlatformImage
    #: Without the host.
    repository: str

    async def run(self) -> str:
        """Push, and return the digest of the image's manifest, which has been read back.

        Raises:
            RegistryError: It failed for good.
            EngineUnavailableError: The engine went away.
        """
        reporter = self.attempts.reporter
        started = time.monotonic()
        async with self._named() as passage:
            try:
                digest = await self.attempts.run(lambda: self._attempt(passage))
            except RegistryError as error:
                if isinstance(error.__cause__, EngineUnavailableError):
                    raise error.__cause__ from error  # then the build is not over
                raise
            sent_bytes = passage.layers.sent_bytes
        seconds = round(time.monotonic() - started, 3)
        message = f"Manifest published with digest {digest}"
        reporter.log("info", message, digest=digest)
        reporter.tell(message)
        if self.attempts.is_retried:
            reporter.log("info", "registry push succeeded after retry", digest=digest)
            reporter.tell("registry push succeeded after retry")
        await reporter.event(
            Event.PUSH_SUCCEEDED, digest=digest, sent_bytes=sent_bytes, seconds=seconds
        )
        return digest

    @asynccontextmanager
    async def _named(self) -> AsyncIterator[Passage]:
        """Give the image a name that leads to the door, for as long as the push takes."""
        reporter = self.attempts.reporter
        await reporter.event(Event.TAG_STARTED)
        async with contextlib.AsyncExitStack() as stack:
            try:
                passage = await stack.enter_async_context(
                    self.door.open(self.attempts.client, self.repository)
                )
                stack.push_async_callback(self._forget, passage.name)
                async with self.engine.reach() as client:
                    await client.images.tag(self.image.image_id, passage.name, tag=TAG)
            except (aiodocker.DockerError, UnavailableError) as error:
                await self._failed_before(error)
                raise _of_engine(error) from error
            await reporter.event(Event.TAG_SUCCEEDED)
            yield passage

    async def _failed_before(
        self, error: aiodocker.DockerError | UnavailableError
    ) -> None:
        """Tell that it failed although nothing was tried yet."""
        told = RegistryError(ErrorKind.ENGINE, _of_engine(error).detail)
        reporter = self.attempts.reporter
        await reporter.event(Event.PUSH_FAILED, told)
        reporter.log("error", "registry push failed", told)
        reporter.tell(f"registry push failed: {told.detail}")

    async def _forget(self, name: str) -> None:
        """Take the name away, and with it what the engine remembers of the push."""

        async def remove() -> None:
            with contextlib.suppress(aiodocker.DockerError, EngineUnavailableError):
                async with self.engine.reach() as client:
                    await client.images.delete(f"{name}:{TAG}")

        # What is left by a crash in this moment, the next start sweeps away.
        removal = asyncio.ensure_future(remove())
        await asyncio.wait([removal], timeout=CLEAN_UP_S)

    async def _attempt(self, passage: Passage) -> str:
        reporter = self.attempts.reporter
        # Whether there is a registry at all is asked before the engine begins.
        await self.attempts.client.ping(reporter.scopes)
        reporter.attempt += 1
        if reporter.attempt == 1:
            await reporter.event(Event.PUSH_STARTED)
            reporter.tell(f"Pushing to {reporter.repository}.")
        passage.begin()
        await self._engine_push(passage)
        if passage.digest is None:
            raise RegistryError(
                ErrorKind.ENGINE, "The engine ended its push without a manifest."
            )
        return await self._read_back(passage.digest)

    async def _engine_push(self, passage: Passage) -> None:
        """Let the engine push, and stop it as soon as nothing can come of it.

        Raises:
            RegistryError: What went wrong, the registry's own failure before what the engine makes of it.
        """
        stream = asyncio.ensure_future(self._stream(passage.name))
        over = asyncio.ensure_future(passage.is_over.wait())
        try:
            await asyncio.wait({stream, over}, return_when=asyncio.FIRST_COMPLETED)
            if passage.failure is not None:
                raise passage.failure
            await stream
        finally:
            for task in (stream, over):
                task.cancel()
            await asyncio.gather(stream, over, return_exceptions=True)

    async def _stream(self, name: str) -> None:
        progress = Progress(self.attempts.reporter)
        silence_s = self.attempts.client.timeout_s + ENGINE_PATIENCE_S
        loop = asyncio.get_running_loop()
        try:
            async with (
                asyncio.timeout(silence_s) as patience,
                self.engine.reach(timeout_s=None) as client,
            ):
                async for item in client.images.push(name, tag=TAG, stream=True):
                    patience.reschedule(loop.time() + silence_s)
                    progress.feed(item)
        except TimeoutError as error:
            raise RegistryError(
                ErrorKind.ENGINE, f"The engine was silent for {silence_s:g} s."
            ) from error
        except aiodocker.DockerError as error:
            raise RegistryError(
                ErrorKind.ENGINE, f"The engine could not push: {words(error)}"
            ) from error
        except EngineUnavailableError as error:
            raise RegistryError(
                ErrorKind.ENGINE, error.detail, hint=error.hint
            ) from error

    async def _read_back(self, digest: str) -> str:
        """Return the digest of this platform's own manifest, read from the registry; engines may push an index.

        Raises:
            RegistryError: What the registry gives is not what was pushed.
        """
        client = self.attempts.client
        found = await client.manifest(self.repository, digest)
        if found.media_type not in {OCI_INDEX, DOCKER_LIST}:
            return digest
        for item in json.loads(found.body).get("manifests", ()):
            if _platform(item) == self.image.platform:
                own = await client.manifest(self.repository, item["digest"])
                return own.digest
        raise RegistryError(
            ErrorKind.ENGINE, f"The engine pushed nothing for {self.image.platform}."
        )


def _platform(item: dict[str, Any]) -> str:
    named = item.get("platform") or {}
    parts = (named.get("os"), named.get("architecture"), named.get("variant"))
    return "/".join(part for part in parts if part)


def _of_engine(error: aiodocker.DockerError | UnavailableError) -> Any:
    if isinstance(error, UnavailableError):
        return error
    return RegistryError(
        ErrorKind.ENGINE, f"The engine could not name the image: {words(error)}"
    )


@dataclass
class Progress:
    """Makes lines for people of what the engine says."""

    reporter: Reporter
    _last: dict[str, float] = field(default_factory=dict)

    def feed(self, item: dict[str, Any]) -> None:
        """Take one message of the engine."""
        layer, status = str(item.get("id", "")), str(item.get("status", ""))
        if layer and status.startswith(_TOLD):
            self.reporter.tell(f"layer {layer}: {status}")
            return
        detail = item.get("progressDetail") or {}
        if not layer or status != "Pushing" or "current" not in detail:
            return
        moment = time.monotonic()
        if moment - self._last.get(layer, moment - TELL_EVERY_S) >= TELL_EVERY_S:
            self._last[layer] = moment
            self.reporter.tell(f"layer {layer}: {amount(detail)}")


def amount(detail: dict[str, Any]) -> str:
    """Return how much of a layer has gone.

    >>> amount({"current": 1_500_000, "total": 3_000_000})
    '1.5 of 3.0 MB'
    """
    current, total = int(detail["current"]), int(detail.get("total") or 0)
    if (
        total < current
    ):  # the engine counts what it reads, and the total without tar's own
        return f"{current / MEGABYTE:.1f} MB"
    return f"{current / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB"
