"""What containers of the Docker engine print."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import aiodocker
import structlog

from appliance.core import labels
from appliance.infra.docker import Engine, is_missing
from appliance.runtimes.errors import EngineUnavailableError
from appliance.runtimes.frames import ENGINE, FrameReader
from appliance.runtimes.model import Transport
from appliance.runtimes.printing import Output, Printer

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 1.0
#: How often the engine may say in a row that it cannot read on, without anything in between.
_FRUITLESS = 3
_SECOND_NS = 1_000_000_000
#: ``2026-11-21T14:20:00``
_SECONDS_DIGITS = 19


class DockerPrinters:
    """Reads by the engine's log stream, one connection for each container.

    Args:
        engine: One of its own, without a limit of connections; the caller closes it.
        owner: This installation's id.
    """

    def __init__(self, engine: Engine, *, owner: str) -> None:
        """Keep the parts; nothing is connected yet."""
        self._engine = engine
        self._owner = owner

    @property
    def _own(self) -> list[str]:
        return [f"{labels.OWNER}={self._owner}", labels.INSTANCE]

    async def all(self) -> list[Printer]:
        """Return every container of this appliance that printed or prints."""
        async with self._engine.reach() as client:
            listed = await client.containers.list(
                all=True, filters=json.dumps({"label": self._own})
            )
        return [
            printer(item["Id"], item["Labels"], is_running=item["State"] == "running")
            for item in listed
        ]

    async def starts(self) -> AsyncGenerator[Printer | None]:
        """Yield containers as they start, for ever; every connection begins with ``None``."""
        while True:
            try:
                async with aclosing(self._starts_once()) as found:
                    async for item in found:
                        yield item
            except (EngineUnavailableError, aiodocker.DockerError) as error:
                log.warning("printers_lost", reason=str(error))
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _starts_once(self) -> AsyncGenerator[Printer | None]:
        wanted = {"type": ["container"], "event": ["start"], "label": self._own}
        async with self._engine.stream(
            "events", {"filters": json.dumps(wanted)}
        ) as body:
            # The engine has answered, so from here on nothing is missed.
            yield None
            async for line in body:
                actor = json.loads(line)["Actor"]
                yield printer(actor["ID"], actor["Attributes"])

    async def read(
        self, printer: Printer, *, since_ns: int = 0
    ) -> AsyncGenerator[list[Output]]:
        """Yield what was printed from a moment on, in lists of what came together.

        Where the engine cannot read on, as happens when it turns its file meanwhile, it is asked again from there. It may tell,
        or just end, so it has said everything only when it has nothing newer.
        """
        moments, fruitless = Moments(), 0
        while fruitless < _FRUITLESS:
            reader, before_ns = _Reader(moments), since_ns
            async with aclosing(self._read_once(printer, since_ns, reader)) as lists:
                async for found in lists:
                    since_ns = max(since_ns, found[-1].at_ns)
                    yield found
            is_new = since_ns > before_ns
            fruitless = 0 if is_new else fruitless + 1
            if reader.complaint:
                log.warning(
                    "printer_lost",
                    container=printer.container_id[:12],
                    reason=reader.complaint,
                )
                await asyncio.sleep(RECONNECT_AFTER_S)
            elif not is_new:
                return

    async def _read_once(
        self, printer: Printer, since_ns: int, reader: "_Reader"
    ) -> AsyncGenerator[list[Output]]:
        seconds, rest = divmod(since_ns, _SECOND_NS)
        params = {
            # What is not asked for does not even leave the engine.
            "stdout": str(int(not printer.speaks_on_stdout)),
            "stderr": "1",
            "timestamps": "1",
            "follow": "1",
            "since": f"{seconds}.{rest:09}",
        }
        try:
            async with self._engine.stream(
                f"containers/{printer.container_id}/logs", params
            ) as body:
                async for chunk in body.iter_any():
                    if found := reader.feed(chunk):
                        yield found
        except aiodocker.DockerError as error:
            if not is_missing(error):
                raise


def printer(
    container_id: str, own: Mapping[str, Any], *, is_running: bool = True
) -> Printer:
    """Return a container as the port promises it; ``own`` are its labels."""
    return Printer(
        container_id=container_id,
        server_id=int(own[labels.SERVER]),
        deployment_id=int(own[labels.DEPLOYMENT]),
        session=own.get(labels.SESSION, ""),
        speaks_on_stdout=own[labels.TRANSPORT] == Transport.STDIO.value,
        is_running=is_running,
    )


class _Reader:
    """Reads one answer of the engine."""

    def __init__(self, moments: "Moments") -> None:
        """Have read nothing yet."""
        self._frames, self._moments = FrameReader(), moments
        #: Why the engine cannot read on, in its words.
        self.complaint = ""

    def feed(self, chunk: bytes) -> list[Output]:
        """Return what ``chunk`` completes."""
        found = []
        for stream, payload in self._frames.frames(chunk):
            if stream == ENGINE:
                self.complaint = payload.decode(errors="replace").strip()
            else:
                is_stderr = stream == "stderr"
                found.append(self._moments.split(payload, is_stderr=is_stderr))
        return found


class Moments:
    """Reads the engine's moments; the second is read once for all lines of it."""

    def __init__(self) -> None:
        """Know no second yet."""
        self._digits = b""
        self._second_ns = 0

    def split(self, payload: bytes, *, is_stderr: bool) -> Output:
        """Return one payload as a line; without a readable moment it keeps its whole text, and the moment before."""
        moment, _, text = payload.rstrip(b"\r\n").partition(b" ")
        digits = moment[:_SECONDS_DIGITS]
        if digits != self._digits:
            try:
                second = datetime.fromisoformat(digits.decode("ascii"))
            except ValueError:
                return Output(self._second_ns, is_stderr, payload.rstrip(b"\r\n"))
            self._digits = digits
            self._second_ns = int(second.replace(tzinfo=UTC).timestamp()) * _SECOND_NS
        fraction = moment[_SECONDS_DIGITS + 1 : -1]
        rest = int(fraction.ljust(9, b"0")) if fraction.isdigit() else 0
        return Output(self._second_ns + rest, is_stderr, text)
