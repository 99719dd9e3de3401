"""Open a stdio server once, and remember what it said for as long as its process lives.

All clients share one opened server, and a bridge that is started again finds the server opened already. What it said is
therefore kept in a file beside the bridge's socket, named for the container and stamped with its start: many servers
refuse a second ``initialize``.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from appliance.gateway.bridge.claims import Claims
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.errors import (
    EngineAwayError,
    HandshakeError,
    InstanceGoneError,
)
from appliance.gateway.protocol import discovery, opening, wire
from appliance.gateway.protocol.wire import Envelope
from appliance.infra.replacing import replace_file

#: Sends one request and returns the server's answer.
Ask = Callable[[Envelope], Awaitable[Envelope]]


@dataclass(frozen=True)
class Announced:
    """What a server is told of its client."""

    capabilities: Mapping[str, Any] = field(default_factory=dict)
    client_info: Mapping[str, Any] = field(default_factory=dict)


#: Of a server that several share. Whether the client that a question goes to can answer it is known only then; roots are
#: one client's, so nobody's here.
SHARED = Announced(
    {"sampling": {}, "elicitation": {"form": {}, "url": {}}}, discovery.GATEWAY_INFO
)


async def shake_hands(ask: Ask, announced: Announced = SHARED) -> dict[str, Any]:
    """Open the server and return its ``initialize`` result.

    The newest revision is asked for first. A server that answers with an error instead of its own revision, which it
    should not, is asked for older ones, and then for what it is in the words of the stateless revision; one that says it is
    open already is taken at its word when it lists its tools.

    Raises:
        HandshakeError: It refuses everything; carries its own words.
    """
    refusal = ""
    for revision in wire.LEGACY_REVISIONS:
        answer = await ask(
            opening.request(
                revision,
                announced.capabilities,
                announced.client_info or discovery.GATEWAY_INFO,
            )
        )
        if answer.error is UNSET:
            return {
                "capabilities": {},
                "serverInfo": opening.UNKNOWN,
            } | opening.result_of(answer)
        refusal = refusal or _message(answer)
    stateless = discovery.opened_by(await ask(discovery.request()))
    if stateless is not None:
        return stateless
    answer = await ask(Envelope(method="tools/list", params=Raw(b"{}")))
    if answer.error is not UNSET:
        raise HandshakeError(f"The server refuses to be opened: {refusal}")
    return {
        "protocolVersion": wire.LEGACY_REVISIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": opening.UNKNOWN,
    }


def initialize_result(opened: Mapping[str, Any], asked_for: str) -> bytes:
    """Return the result for a client that opens with revision ``asked_for``."""
    known = asked_for in wire.LEGACY_REVISIONS
    revision = asked_for if known else wire.LEGACY_REVISIONS[0]
    return wire.encode({**opened, "protocolVersion": revision})


class HandshakeFiles:
    """Keeps handshakes below ``directory``, one file a container. Every method blocks, briefly."""

    def __init__(self, directory: Path) -> None:
        """Make the directory, for this user alone."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        #: Which containers this bridge alone is attached to.
        self.claims = Claims(directory.with_name(f"{directory.name}-claims"))

    def load(self, container_id: str, started_at: str) -> dict[str, Any] | None:
        """Return what the process that was started at ``started_at`` said; ``None`` if it was not opened yet."""
        try:
            kept = json.loads(self._path(container_id).read_bytes())
        except (OSError, ValueError):
            return None
        return kept["opened"] if kept.get("started_at") == started_at else None

    def save(self, container_id: str, started_at: str, opened: dict[str, Any]) -> None:
        """Keep ``opened``; a crash in the middle leaves the old file or the new one."""
        kept = wire.encode({"started_at": started_at, "opened": opened})
        replace_file(self._path(container_id), kept)

    def container_ids(self) -> list[str]:
        """Return whose handshakes are kept."""
        return [path.stem for path in self._directory.glob("*.json")]

    def forget(self, container_id: str) -> None:
        """Remove what is kept of a container that is gone."""
        self._path(container_id).unlink(missing_ok=True)
        self._asks_path(container_id).unlink(missing_ok=True)
        self.claims.forget(container_id)

    def asks(self, container_id: str) -> bool:
        """Tell whether the server in a container is known to ask its clients things."""
        return self._asks_path(container_id).exists()

    def note_asks(self, container_id: str) -> None:
        """Remember that it does, also when it is started again."""
        self._asks_path(container_id).touch()

    def _path(self, container_id: str) -> Path:
        return self._directory / f"{container_id}.json"

    def _asks_path(self, container_id: str) -> Path:
        return self._directory / f"{container_id}.asks"


async def forget_gone_containers(files: HandshakeFiles, engine: Engine) -> None:
    """Remove what earlier bridges kept of containers that are gone by now."""
    for container_id in await asyncio.to_thread(files.container_ids):
        try:
            await engine.inspect(container_id)
        except InstanceGoneError:
            await asyncio.to_thread(files.forget, container_id)
        except EngineAwayError:
            return


def _message(answer: Envelope) -> str:
    try:
        error = msgspec.json.decode(b"{}" if answer.error is UNSET else answer.error)
        return str(error.get("message", error))
    except (msgspec.DecodeError, AttributeError):
        return "an error that is none"
