"""The logs of all servers on this box. Everything here blocks; what writes is called by one thread at a time."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from appliance.infra.directories import own_directory
from appliance.output import segments
from appliance.output.book import Book
from appliance.output.model import Line, Position, Printed, nanoseconds
from appliance.output.progress import Mark

log = structlog.get_logger(__name__)


class Shelf:
    """Every server's log, below one directory.

    Args:
        directory: Made at need, ours alone.
        max_bytes: That one server's log may take.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """Keep the place; nothing is opened yet."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._books: dict[int, Book] = {}

    def place(self, server_id: int) -> Path:
        """Return the directory of one server's log."""
        return self._directory / str(server_id)

    def mark(self, server_id: int, container: str) -> Mark:
        """Return how far a container was read."""
        return self._book(server_id).mark(container)

    def end(self, server_id: int) -> Position:
        """Return the end of a server's log."""
        return self._book(server_id).end

    def write(
        self, found: Mapping[int, Sequence[Printed]]
    ) -> dict[int, list[Line] | OSError]:
        """Store the lines of several servers and return them with their positions, or why they could not be stored."""
        own_directory(self._directory, mode=0o700)
        stored: dict[int, list[Line] | OSError] = {}
        for server_id, lines in found.items():
            try:
                stored[server_id] = self._book(server_id).append(lines)
            except OSError as error:
                stored[server_id] = error
        return stored

    def turn_older(self, before: datetime) -> None:
        """Close what silent servers have left open since before."""
        for number in self._numbers():
            self._book(number).turn_if_older(before)

    def tidy(self, server_id: int, *, before: datetime) -> None:
        """Compress and remove as retention says; beside the writing thread, too."""
        segments.tidy(
            self.place(server_id),
            before_ns=nanoseconds(before),
            max_bytes=self._max_bytes,
        )

    def tidy_all(self, *, before: datetime, servers: Collection[int]) -> None:
        """Do so for all, and remove the logs of servers that are no more."""
        for number in self._numbers():
            if number in servers:
                self.tidy(number, before=before)
            else:
                shutil.rmtree(self.place(number), ignore_errors=True)

    def remove(self, server_id: int) -> None:
        """Remove a server's log."""
        self._books.pop(server_id, None)
        shutil.rmtree(self.place(server_id), ignore_errors=True)

    def _book(self, server_id: int) -> Book:
        if server_id not in self._books:
            self._books[server_id] = Book(self.place(server_id))
        return self._books[server_id]

    def _numbers(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        names = (path.name for path in self._directory.iterdir())
        return sorted(int(name) for name in names if name.isdigit())
