"""Where a known word turns up: in processes, on the engine, in a database, below a directory, in answers."""

import io
import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import psycopg2
import re2

from appliance.core.known_values import HIDDEN, forms

CHUNK = 1 << 20


class Canaries:
    """Known words, and where they were found.

    Args:
        words: Letters and digits that stand in values. Looked for as they are, in base64 at any place, and in hexadecimal; in
            whatever else is written of a value they stand as they are.
    """

    def __init__(self, words: Iterable[str]) -> None:
        needles = {form.encode() for word in words for form in forms(word)}
        # A database shows bytes in hexadecimal.
        needles |= {needle.hex().encode() for needle in needles}
        # In one pass, whatever their number.
        self._pattern = re2.compile(b"|".join(map(re.escape, sorted(needles))))
        self._longest = max(map(len, needles))
        self.found: Counter[str] = Counter()
        self.looked: Counter[str] = Counter()
        #: How often something stood there that was hidden.
        self.hidden: Counter[str] = Counter()

    def look(self, place: str, data: bytes, where: str = "") -> None:
        """Note every value in ``data``."""
        self.looked[place] += len(data)
        self.hidden[place] += data.count(HIDDEN.encode())
        for match in self._pattern.finditer(data):
            around = data[max(0, match.start() - 60) : match.start()]
            self.found[f"{place} {where}: …{around!r}"] += 1

    def look_through(self, place: str, stream: io.BufferedIOBase, where: str) -> None:
        """Note every value in what comes, however much it is."""
        rest = b""
        while chunk := stream.read(CHUNK):
            self.look(place, rest + chunk, where)
            rest = chunk[-self._longest :]

    # -- places

    def files(self, place: str, directory: Path) -> None:
        """Look into every file below ``directory``."""
        for path in directory.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    with path.open("rb") as file:
                        self._file(place, file, str(path))

    def _file(self, place: str, file: io.BufferedReader, where: str) -> None:
        """Look into all of a file but its holes."""
        at, end = 0, os.fstat(file.fileno()).st_size
        while at < end:
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for begin in range(start, at, CHUNK):
                data = os.pread(file.fileno(), CHUNK + self._longest, begin)
                self.look(place, data, where)

    def command(self, place: str, *argv: str) -> None:
        """Look into what a program prints."""
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout
        with process:
            self.look_through(place, process.stdout, " ".join(argv[:4]))  # type: ignore[arg-type]

    def database(self, place: str, url: str) -> None:
        """Look into every row of every table and view."""
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as rows:
            rows.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            )
            for (table,) in rows.fetchall():
                buffer = io.BytesIO()
                copy = f'COPY (SELECT * FROM "{table}") TO STDOUT'  # noqa: S608 - its own tables
                rows.copy_expert(copy, buffer)
                self.look(place, buffer.getvalue(), table)

    @contextmanager
    def processes(self, place: str) -> Iterator[None]:
        """Look at every command line of this box, again and again, meanwhile."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    with suppress(OSError):
                        self.look(place, path.read_bytes(), path.parent.name)
                time.sleep(0.1)

        with _running(watch, stop):
            yield

    @contextmanager
    def stream(self, place: str, client: httpx.Client, path: str) -> Iterator[None]:
        """Look into what a stream sends meanwhile."""
        stop = threading.Event()

        def follow() -> None:
            while not stop.is_set():
                with (
                    suppress(httpx.HTTPError),
                    client.stream("GET", path, timeout=2) as answer,
                ):
                    rest = b""
                    for chunk in answer.iter_bytes():
                        self.look(place, rest + chunk, path)
                        rest = chunk[-self._longest :]
                        if stop.is_set():
                            return

        with _running(follow, stop):
            yield


@contextmanager
def _running(work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
