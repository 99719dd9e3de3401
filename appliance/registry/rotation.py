"""Gets fresh credentials by REGISTRY_AUTH_REFRESH_COMMAND: once, however many ask for them at the same time.

Within a process the askers wait for one another; between processes an advisory lock of Postgres does the same. Whoever waited
looks at the file first: if it is another than before, somebody was quicker.

What the program prints is a secret. It is parsed and written to the file, and never logged, stored or told.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from appliance.core.clock import now
from appliance.core.errors import FailedError
from appliance.infra.database import Database
from appliance.infra.process import (
    Captured,
    ProgramMissingError,
    ProgramTimeoutError,
    capture,
)
from appliance.jobs.leadership import lead
from appliance.registry.credential_file import CredentialFile
from appliance.registry.dockerconfig import (
    MAX_BYTES,
    DockerConfigError,
    credentials_for,
    expiry_of,
)

log = structlog.get_logger("registry.push")

#: "MCPR"; the clock holds "MCPC".
REFRESH_KEY = 0x4D43_5052
#: Seconds between two looks whether another process is done.
LOOK_EVERY_S = 0.25
#: What the program learns beside the usual: for whom, and where to write.
HOST_VARIABLE = "REGISTRY_HOST"
FILE_VARIABLE = "REGISTRY_AUTH_DOCKERCONFIG"


class RefreshFailedError(FailedError):
    """There are no fresh credentials; says why, never what the program printed."""

    code = "registry_refresh_failed"


class Refresher:
    """Replaces the credentials in a file.

    Args:
        database: Holds the lock between processes.
        file: Where the credentials are.
        command: Program and arguments.
        timeout_s: Seconds that it may take.
    """

    def __init__(
        self,
        database: Database,
        file: CredentialFile,
        command: Sequence[str],
        *,
        timeout_s: float,
    ) -> None:
        """Keep the parts; nothing runs yet."""
        self._database = database
        self._file = file
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        #: How many runs have ended, and how the last one failed.
        self._runs = 0
        self._failure: RefreshFailedError | None = None

    async def refresh(self, host: str, *, seen: str | None = None) -> None:
        """Have the file hold other credentials than it did.

        Args:
            host: The registry that they are for.
            seen: Stamp of the file when its credentials were found wanting; ``None``: as it is now.

        Raises:
            RefreshFailedError: There are none.
        """
        before = await asyncio.to_thread(self._file.stamp) if seen is None else seen
        runs = self._runs
        async with self._lock:
            if await asyncio.to_thread(self._file.stamp) != before:
                return
            if self._runs > runs and self._failure is not None:
                # It failed while we waited, and would again.
                raise self._failure
            try:
                await self._refresh(host, before)
            except RefreshFailedError as error:
                self._failure = error
                raise
            else:
                self._failure = None
            finally:
                self._runs += 1

    async def _refresh(self, host: str, before: str) -> None:
        async with _alone(self._database, self._timeout_s) as is_alone:
            if await asyncio.to_thread(self._file.stamp) != before:
                return
            if not is_alone:
                raise RefreshFailedError(
                    "Another process has been refreshing the registry's credentials for too long.",
                    hint="Is Postgres up, and does REGISTRY_AUTH_REFRESH_COMMAND end by itself?",
                )
            printed = await self._run(host)
            await asyncio.to_thread(self._take, printed, host, before)

    async def _run(self, host: str) -> bytes:
        began = time.monotonic()
        try:
            done = await capture(
                self._command,
                limit_bytes=MAX_BYTES,
                environment={
                    HOST_VARIABLE: host,
                    FILE_VARIABLE: str(self._file.path.absolute()),
                },
                timeout_s=self._timeout_s,
            )
        except (ProgramMissingError, ProgramTimeoutError) as error:
            raise RefreshFailedError(
                error.detail, hint="REGISTRY_AUTH_REFRESH_COMMAND names it."
            ) from error
        except OSError as error:
            raise RefreshFailedError(
                f"{self._command[0]} could not be started: {error.strerror}."
            ) from error
        took_s = round(time.monotonic() - began, 3)
        log.info("registry.refresh_command_ended", code=done.code, took_s=took_s)
        return _output(done, self._command[0])

    def _take(self, printed: bytes, host: str, before: str) -> None:
        """Put what was printed into the file, or see that the program has done so itself. Blocking."""
        try:
            if printed.strip():
                found = credentials_for(printed, host)
                if found is None:
                    raise RefreshFailedError(
                        f"What the refresh command printed has no entry for {host} in its auths."
                    )
                _refuse_ended(expiry_of(found))
                self._file.replace(printed)
                return
            stored = self._file.read(host)
        except DockerConfigError as error:
            raise RefreshFailedError(
                f"The refresh command brought no usable dockerconfigjson. {error.detail}",
                hint=error.hint,
            ) from None
        if stored.stamp == before:
            raise RefreshFailedError(
                f"The refresh command printed nothing and did not write {self._file.path}."
            )
        _refuse_ended(expiry_of(stored.credentials))


def _output(done: Captured, program: str) -> bytes:
    if done.code != 0:
        ended = (
            f"ended with exit code {done.code}"
            if done.code > 0
            else f"was killed by signal {-done.code}"
        )
        raise RefreshFailedError(
            f"The refresh command {program} {ended}.",
            hint="What it prints is not kept, as it may be secret: run it by hand to see it.",
        )
    if done.is_cut:
        raise RefreshFailedError(
            "The refresh command printed far more than a dockerconfigjson has."
        )
    return done.output


def _refuse_ended(ends_at: datetime | None) -> None:
    if ends_at is not None and ends_at <= now():
        raise RefreshFailedError(
            "The refresh command brought credentials whose own end is past already."
        )


@asynccontextmanager
async def _alone(database: Database, patience_s: float) -> AsyncIterator[bool]:
    """Hold the lock between processes; ``False``: it could not be had."""
    # The one who holds it may take as long as the command, and then we may.
    deadline = time.monotonic() + patience_s + 5.0
    while True:
        async with contextlib.AsyncExitStack() as stack:
            held = await stack.enter_async_context(lead(database, REFRESH_KEY))
            if held is not None or time.monotonic() > deadline:
                yield held is not None
                return
        await asyncio.sleep(LOOK_EVERY_S)
