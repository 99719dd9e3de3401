"""Shows authorities what they want to see: files that Nginx serves, records by a program or by RFC 2136."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

from appliance.certificates.challenges import Challenge, ChallengeKind
from appliance.certificates.errors import AttemptError
from appliance.certificates.model import ErrorKind
from appliance.certificates.records import DnsServer
from appliance.core.errors import UnavailableError
from appliance.core.front_door import CHALLENGES, challenge_file
from appliance.infra.handed_files import Reader, hand_directory, hand_file
from appliance.infra.process import run
from appliance.settings import Settings

log = structlog.get_logger("certificates")

#: Seconds for the program that sets records; providers may take their time.
HOOK_TIMEOUT_S = 120.0
_LAST_LINES = 5


class Answers:
    """Puts answers where authorities look, and takes them away again.

    Args:
        reader: Who serves the files.
    """

    def __init__(self, settings: Settings, reader: Reader) -> None:
        """Keep the ways."""
        self._proxy_dir: Path = settings.proxy_dir
        self._reader = reader
        self._hook = settings.acme_dns_hook
        self._wait_s = settings.acme_dns_wait_seconds
        secret = settings.acme_dns_key_secret
        self._server = (
            DnsServer(
                settings.acme_dns_server,
                settings.acme_dns_zone or "",
                settings.acme_dns_key_name or "",
                secret.get_secret_value() if secret else "",
                settings.acme_dns_key_algorithm,
            )
            if settings.acme_dns_server
            else None
        )

    @contextlib.asynccontextmanager
    async def shown(self, asked: Sequence[Challenge]) -> AsyncIterator[None]:
        """Show all of ``asked`` inside the block.

        Raises:
            AttemptError: One of them could not be shown.
        """
        put: list[Challenge] = []
        try:
            for item in asked:
                # Taken away also if putting it failed half way.
                put.append(item)
                await self._put(item)
            if any(item.kind is ChallengeKind.DNS for item in asked):
                await asyncio.sleep(self._wait_s)
            yield
        except asyncio.CancelledError:
            # The authority may be about to look, and whoever goes on with the order shows the same and takes it away.
            put.clear()
            raise
        finally:
            for item in put:
                await self._remove(item)

    async def _put(self, item: Challenge) -> None:
        if item.kind is ChallengeKind.HTTP:
            await asyncio.to_thread(self._write, item)
        elif self._hook:
            await self._run_hook("add", item)
        elif self._server:
            await asyncio.to_thread(self._server.add, item.label, item.value)

    def _write(self, item: Challenge) -> None:
        try:
            hand_directory(self._proxy_dir / CHALLENGES, self._reader)
            path = challenge_file(self._proxy_dir, item.label)
            hand_file(path, item.value.encode(), self._reader)
        except (OSError, ValueError) as error:
            raise AttemptError(
                ErrorKind.DNS_UPDATE,
                f"The answer for {item.name} could not be written: {error}.",
            ) from error

    async def _remove(self, item: Challenge) -> None:
        try:
            if item.kind is ChallengeKind.HTTP:
                path = challenge_file(self._proxy_dir, item.label)
                await asyncio.to_thread(path.unlink, missing_ok=True)
            elif self._hook:
                await self._run_hook("remove", item)
            elif self._server:
                await asyncio.to_thread(self._server.remove, item.label, item.value)
        except (AttemptError, OSError, ValueError) as error:
            # What was wanted is done or failed already; a record too many does no harm.
            log.warning("certificates.answer_left", name=item.name, error=str(error))

    async def _run_hook(self, what: str, item: Challenge) -> None:
        argv = [*(self._hook or ()), what, item.label, item.value]
        try:
            finished = await run(argv, timeout_s=HOOK_TIMEOUT_S)
        except UnavailableError as error:
            raise AttemptError(
                ErrorKind.DNS_UPDATE, f"ACME_DNS_HOOK: {error.reason}"
            ) from error
        if finished.code != 0:
            last = " ".join(finished.lines[-_LAST_LINES:])
            raise AttemptError(
                ErrorKind.DNS_UPDATE,
                f"ACME_DNS_HOOK {what} ended with {finished.code}: {last or 'it said nothing'}",
            )
