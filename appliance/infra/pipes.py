"""Programs at the end of a pipe, for gigabytes that pass from one to the other. Blocking; for commands, not for the hub.

What a program reads or writes is never held as a whole, and a program never outlives the block that uses it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from appliance.core.errors import FailedError
from appliance.infra.process import ProgramMissingError, child_environment

_STOP_S = 5.0
#: Lines of what a program complained that are told.
_TOLD_LINES = 5
_CHUNK = 256 * 1024
#: zlib's way to say "with a gzip header".
_GZIP = 31
_QUICK = 1


class ProgramFailedError(FailedError):
    """A program ended with an error."""

    code = "program_failed"


@contextmanager
def output_of(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> Iterator[IO[bytes]]:
    """Give what a program prints, as it comes.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramFailedError: It ended with an error, told after everything was read.
    """
    with _running(argv, environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - as asked for
        yield process.stdout
        process.stdout.close()


class Leftover:
    """What a program may read and need not: the rest is dropped once it has read enough.

    Args:
        stream: The program's input.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        """Keep the stream; whoever opened it closes it."""
        self._stream = stream
        self._is_wanted = True

    def write(self, data: bytes, /) -> int:
        """Pass on, or drop."""
        if self._is_wanted:
            try:
                self._stream.write(data)
                self._stream.flush()
            except BrokenPipeError:
                self._is_wanted = False
        return len(data)


@contextmanager
def glance_of(argv: Sequence[str]) -> Iterator[Leftover]:
    """Give what a program reads as much of as it likes, as one does that looks at a table of contents.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramFailedError: It ended with an error.
    """
    with _running(argv, None, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - as asked for
        yield Leftover(process.stdin)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@contextmanager
def input_of(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> Iterator[IO[bytes]]:
    """Give what a program reads.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramFailedError: It ended with an error, also when it stopped reading.
    """
    with _running(argv, environment, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - as asked for
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            with contextlib.suppress(OSError):
                process.stdin.close()
            if process.wait() == 0:
                raise ProgramFailedError(
                    f"{argv[0]} stopped reading before the end."
                ) from None


def text_of(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    limit: int = 16 * 1024**2,
) -> str:
    """Return what a program prints, at most ``limit`` bytes of it.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramFailedError: It ended with an error.
    """
    with output_of(argv, environment=environment) as printed:
        return printed.read(limit).decode(errors="replace")


@contextmanager
def _running(
    argv: Sequence[str], environment: Mapping[str, str] | None, **streams: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    program = shutil.which(argv[0])
    if program is None:
        raise ProgramMissingError(f"The program {argv[0]} is not on this box.")
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [program, *argv[1:]],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **streams},
            stderr=complaints,
            env=child_environment(os.environ, environment),
            start_new_session=True,
        )
        try:
            yield process
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        if code:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            said = " ".join(lines[-_TOLD_LINES:]) or f"it ended with {code}"
            raise ProgramFailedError(
                f"{argv[0]} failed: {said}", output=tuple(lines[-_TOLD_LINES:])
            )


def _end(process: "subprocess.Popen[bytes]") -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Gzipped:
    """What another reader gives, compressed quickly."""

    def __init__(self, source: Any) -> None:
        """Read nothing yet."""
        self._source = source
        self._zip = zlib.compressobj(_QUICK, wbits=_GZIP)
        self._ready = bytearray()
        self._is_at_end = False

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        while not self._is_at_end and (size < 0 or len(self._ready) < size):
            chunk = self._source.read(_CHUNK)
            if chunk:
                self._ready += self._zip.compress(chunk)
            else:
                self._ready += self._zip.flush()
                self._is_at_end = True
        taken = bytes(self._ready if size < 0 else self._ready[:size])
        del self._ready[: len(taken)]
        return taken


@contextmanager
def written_by(write: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """Give what ``write`` writes, which runs in a thread of its own.

    Raises:
        Exception: What ``write`` raised.
    """
    reading, writing = os.pipe()
    other = _Beside(writing, "wb", write)
    try:
        with os.fdopen(reading, "rb") as pipe:
            yield pipe
    finally:
        other.join()
    other.complain()


@contextmanager
def read_by(read: Callable[[IO[bytes]], None]) -> Iterator[IO[bytes]]:
    """Give where to write what ``read`` reads, which runs in a thread of its own.

    Raises:
        Exception: What ``read`` raised.
    """

    def read_to_its_end(pipe: IO[bytes]) -> None:
        read(pipe)
        while pipe.read(_CHUNK):  # what follows an archive's end
            pass

    reading, writing = os.pipe()
    other = _Beside(reading, "rb", read_to_its_end)
    try:
        with os.fdopen(writing, "wb") as pipe:
            yield pipe
    except BrokenPipeError:
        other.join()
        if not other.fault:
            raise
    finally:
        other.join()
    other.complain()


class _Beside:
    """The other end of a pipe, in a thread of its own.

    Args:
        descriptor: Of that end; closed when ``work`` is done.
        mode: How it is opened.
        work: What is done at it.
    """

    def __init__(
        self, descriptor: int, mode: str, work: Callable[[IO[bytes]], None]
    ) -> None:
        """Begin."""
        self.fault: BaseException | None = None
        arguments = (descriptor, mode, work)
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Return when it is done."""
        self._thread.join()

    def complain(self) -> None:
        """Raise what it raised."""
        if self.fault:
            raise self.fault

    def _run(
        self, descriptor: int, mode: str, work: Callable[[IO[bytes]], None]
    ) -> None:
        try:
            with os.fdopen(descriptor, mode, buffering=_CHUNK) as pipe:
                work(pipe)
        except BaseException as fault:  # noqa: BLE001 - raised again at the other end
            self.fault = fault
