"""Running programs: by argv, in a group of their own, with an environment that is listed here, and never left behind.

Three things end a program that nobody wants any more:

- cancelling ``run`` (or its timeout) interrupts the whole process group, then kills it;
- the kernel kills the program when this process dies, ``kill -9`` included (``setpriv
--pdeathsig``);
- what its children leave after that still carries the mark in its environment, by which
``kill_marked`` finds it at the
  next start.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.core.errors import UnavailableError
from appliance.infra.waiting import set_within

#: What a program may see of this process's environment: where things are and how to get
#: out, never a secret of ours.
INHERITED = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "XDG_RUNTIME_DIR",
        "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK",
    }
)  # fmt: skip
MARK = "MCP_HOST_PROCESS"
#: Longest line that is handed on, in bytes; the rest of a longer one is dropped.
MAX_LINE_BYTES = 8 * 1024
#: Seconds between the polite signal and the kill.
GRACE_S = 3.0
#: Seconds that output may take to arrive after the program ended.
DRAIN_S = 1.0
_TRUNCATED = " … (line cut)"

LineListener = Callable[[str], None]


class ProgramMissingError(UnavailableError):
    """A program that this box should have is not there."""

    code = "program_missing"


class ProgramTimeoutError(UnavailableError):
    """A program took longer than it may and was stopped."""

    code = "program_timeout"


@dataclass(frozen=True)
class Finished:
    """How a program ended."""

    #: Negative: the number of the signal that killed it.
    code: int
    #: Everything it printed, when nobody listened for lines.
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What it printed, as one text."""
        return "\n".join(self.lines)


PROXIES = tuple(name for name in sorted(INHERITED) if name.lower().endswith("_proxy"))


def proxies() -> dict[str, str]:
    """Return the proxy settings of this process's environment, which a build container does not inherit by itself."""
    return {name: os.environ[name] for name in PROXIES if os.environ.get(name)}


def child_environment(
    own: Mapping[str, str], extra: Mapping[str, str] | None = None, *, mark: str = ""
) -> dict[str, str]:
    """Return what a program gets of ``own``, with ``extra`` over it. Pure."""
    kept = {name: value for name, value in own.items() if name in INHERITED}
    fixed = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    return kept | fixed | dict(extra or {}) | ({MARK: mark} if mark else {})


@dataclass(frozen=True)
class Captured:
    """How a program ended whose output is meant for programs."""

    #: Negative: the number of the signal that killed it.
    code: int
    #: Standard output alone, byte for byte; never shown in a log or a traceback.
    output: bytes = field(repr=False)
    #: Whether it printed more than was kept.
    is_cut: bool = False


async def run(
    argv: Sequence[str],
    *,
    on_line: LineListener | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    mark: str = "",
) -> Finished:
    """Run a program to its end; standard output and error come as one stream of lines, and there is no input.

    Args:
        argv: Program and arguments; no shell sees them.
        on_line: Told of every line, without its end, as it comes. Without it the lines
            are in the result.
        environment: Variables beside those in ``INHERITED``.
        timeout_s: Seconds until the program is stopped.
        mark: Names the work that the program belongs to, for ``kill_marked``.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramTimeoutError: It took too long, and is gone.
    """
    lines: list[str] = []
    splitter = LineSplitter(on_line or lines.append)
    started = _Start(asyncio.subprocess.STDOUT, cwd, environment, mark)
    try:
        code = await _to_the_end(argv, splitter.feed, started, timeout_s=timeout_s)
    finally:
        splitter.finish()
    return Finished(code, tuple(lines))


async def capture(
    argv: Sequence[str],
    *,
    limit_bytes: int,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    mark: str = "",
) -> Captured:
    """Run a program to its end and return what it wrote to standard output; standard error is thrown away.

    Args:
        argv: Program and arguments; no shell sees them.
        limit_bytes: What it prints beyond these is dropped.
        environment: Variables beside those in ``INHERITED``.
        timeout_s: Seconds until the program is stopped.
        mark: Names the work that the program belongs to, for ``kill_marked``.

    Raises:
        ProgramMissingError: There is no such program.
        ProgramTimeoutError: It took too long, and is gone.
    """
    output = bytearray()
    # One byte more than may be kept tells that there was more.
    started = _Start(asyncio.subprocess.DEVNULL, None, environment, mark)
    code = await _to_the_end(
        argv,
        lambda chunk: output.extend(chunk[: limit_bytes + 1 - len(output)]),
        started,
        timeout_s=timeout_s,
    )
    return Captured(code, bytes(output[:limit_bytes]), len(output) > limit_bytes)


@dataclass(frozen=True)
class _Start:
    """How a program is started, beside its argv."""

    stderr: int
    cwd: Path | None
    environment: Mapping[str, str] | None
    mark: str


async def _to_the_end(
    argv: Sequence[str],
    on_bytes: Callable[[bytes], None],
    start: _Start,
    *,
    timeout_s: float | None,
) -> int:
    """Run a program, hand on what it prints, and return its exit code."""
    watch = _Watch(on_bytes)
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        lambda: watch,
        *await asyncio.to_thread(_dying_with_us, argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=start.stderr,
        cwd=start.cwd,
        env=child_environment(os.environ, start.environment, mark=start.mark),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await watch.exited.wait()
            # A child that went its own way may hold the pipe open for ever; what was
            # written before the exit is read.
            await set_within(watch.closed, DRAIN_S)
    except TimeoutError as error:
        raise ProgramTimeoutError(
            f"{argv[0]} took longer than {timeout_s:g} seconds and was stopped."
        ) from error
    finally:
        await _end(transport.get_pid(), watch)
        transport.close()
    return transport.get_returncode() or 0


def _dying_with_us(argv: Sequence[str]) -> list[str]:
    """Return ``argv`` behind setpriv, which asks the kernel to kill it with us and becomes it.

    A ``preexec_fn`` could ask the same, but runs Python between fork and exec of a
    process with threads.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise ProgramMissingError(f"The program {argv[0]} is not on this box.")
    setpriv = shutil.which("setpriv")
    before = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    return [*before, program, *argv[1:]]


class _Watch(asyncio.SubprocessProtocol):
    """Hands on what a program prints and knows when it ended.

    asyncio's own ``Process.wait`` waits for the pipe too, which a straggler can hold
    open.
    """

    def __init__(self, on_bytes: Callable[[bytes], None]) -> None:
        self._on_bytes = on_bytes
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:  # noqa: ARG002 - asyncio's signature
        if isinstance(data, bytes):
            self._on_bytes(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


class LineSplitter:
    """Cuts a byte stream into lines of bounded length; a carriage return ends a line too, as progress bars do."""

    def __init__(self, on_line: LineListener, *, limit: int = MAX_LINE_BYTES) -> None:
        """Hand whole lines to ``on_line``."""
        self._on_line = on_line
        self._limit = limit
        self._rest = b""
        self._cut = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for piece in whole:
            self._add(piece)
            self._flush()
        self._add(rest)

    def finish(self) -> None:
        """Hand on a last line that has no end."""
        if self._rest:
            self._flush()

    def _add(self, piece: bytes) -> None:
        room = self._limit - len(self._rest)
        self._cut = self._cut or len(piece) > room
        self._rest += piece[:room]

    def _flush(self) -> None:
        # Postgres takes no NUL in a text, and no log needs one.
        text = self._rest.decode(errors="replace").replace("\0", "�")
        self._on_line(text + _TRUNCATED if self._cut else text)
        self._rest, self._cut = b"", False


async def _end(group: int, watch: _Watch) -> None:
    """End the group: politely if the program still runs, and by force what then remains."""
    try:
        if not watch.exited.is_set():
            _signal_group(group, signal.SIGINT)
            await set_within(watch.exited, GRACE_S)
    finally:
        # The number stays taken for as long as anything of the group lives, so this
        # cannot meet a stranger.
        _signal_group(group, signal.SIGKILL)
    await watch.exited.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_marked(mark: str, *, proc: Path = Path("/proc")) -> list[int]:
    """Kill what still runs with ``mark`` in its environment and return the process ids. Blocking, a few milliseconds.

    Only processes of the same user (or all, for root) can be seen, which are the only
    ones that can be ours.
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return found
