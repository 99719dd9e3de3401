"""The port through which containers' output is read: who prints, and what, without anybody else's.

Sessions' own containers are among them, which are no instances to anybody else.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Printer:
    """A container whose output is kept."""

    container_id: str
    server_id: int
    deployment_id: int
    #: Which session it is for; empty: the server's own.
    session: str
    #: Whether its standard output carries the protocol, which is its clients' and nobody else's to read.
    speaks_on_stdout: bool
    is_running: bool = True


class Output(NamedTuple):
    """One line as a container printed it, not looked into yet."""

    #: Nanoseconds since 1970.
    at_ns: int
    is_stderr: bool
    text: bytes


class Printers(Protocol):
    """Tells who prints, and reads it. All raise ``EngineUnavailableError`` when the engine does not answer."""

    async def all(self) -> list[Printer]:
        """Return every container of this appliance that printed or prints, whether it runs or not."""
        ...

    def starts(self) -> AsyncGenerator[Printer | None]:
        """Yield containers as they start, for ever; ``None``: some may have been missed, look at all of them."""
        ...

    def read(
        self, printer: Printer, *, since_ns: int = 0
    ) -> AsyncGenerator[list[Output]]:
        """Yield what was printed from a moment on, that moment's lines among them, and then what comes, until it ends."""
        ...
