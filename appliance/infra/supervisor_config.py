"""What supervisord is told: which programs run, how each is stopped, where it logs. Pure."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.core.errors import InvalidError

#: Supervisord waits one second longer after each failed start, so this many failures take days: it never gives up.
_START_RETRIES = 1000
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3
#: Of glibc, for every program. Else each thread that allocates beside another gets a heap of its own, which keeps what it
#: once took: megabytes in the hub, and no speed, because Python's threads take turns.
_ENVIRONMENT = 'MALLOC_ARENA_MAX="1"'


@dataclass(frozen=True)
class Program:
    """One process that is kept running."""

    name: str
    argv: Sequence[str]
    #: Asks it to stop; without the SIG.
    stop_signal: str
    #: Seconds until it is killed after that.
    stop_wait_s: int


@dataclass(frozen=True)
class Layout:
    """Where supervisord keeps its own things. All paths are absolute."""

    #: Working directory of every program, which is where ``.env`` is.
    directory: Path
    log_dir: Path
    run_dir: Path

    @property
    def config(self) -> Path:
        """The rendered file."""
        return self.run_dir / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """Where supervisord listens."""
        return self.run_dir / "supervisor.sock"

    @property
    def log(self) -> Path:
        """What supervisord itself says."""
        return self.log_dir / "supervisord.log"


def render(
    layout: Layout, programs: Sequence[Program], *, patience_s: float = 30
) -> str:
    """Return supervisord.conf; programs start in the given order and stop in the reverse.

    Args:
        layout: Where its things are.
        programs: What runs.
        patience_s: Seconds without a sign of life from which on something is wrong with one of them.

    Raises:
        InvalidError: A path holds what this kind of file cannot say.
    """
    sections = [
        _section("unix_http_server", {"file": layout.socket, "chmod": "0700"}),
        _section("supervisord", _daemon(layout)),
        _section(
            "rpcinterface:supervisor",
            {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
        ),
        _section(
            "rpcinterface:watch",
            {
                "supervisor.rpcinterface_factory": "appliance.infra.supervisor_watch:make",
                "run_dir": layout.run_dir,
                "patience_s": patience_s,
            },
        ),
        _section("supervisorctl", {"serverurl": f"unix://{layout.socket}"}),
        *(
            _section(f"program:{program.name}", _program(layout, program, priority))
            for priority, program in enumerate(programs, start=1)
        ),
    ]
    return (
        "; Rendered at every start from the settings; changes here are lost.\n\n"
        + "\n".join(sections)
    )


def _daemon(layout: Layout) -> dict[str, object]:
    return {
        "directory": layout.directory,
        "logfile": layout.log,
        "logfile_maxbytes": _LOG_BYTES,
        "logfile_backups": _LOG_BACKUPS,
        "pidfile": layout.run_dir / "supervisord.pid",
        "childlogdir": layout.log_dir,
        "environment": _ENVIRONMENT,
    }


def _program(layout: Layout, program: Program, priority: int) -> dict[str, object]:
    return {
        "command": shlex.join(program.argv),
        "directory": layout.directory,
        "priority": priority,
        "autorestart": "true",
        "startsecs": 1,
        "startretries": _START_RETRIES,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_wait_s,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": layout.log_dir / f"{program.name}.log",
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_BACKUPS,
    }


def _section(name: str, values: dict[str, object]) -> str:
    return f"[{name}]\n" + "".join(_lines(values.items()))


def _lines(items: Iterable[tuple[str, object]]) -> Iterable[str]:
    for key, value in items:
        text = str(value)
        # The file has no way to write these: a line ends the value, and so does a comment sign after a space.
        if any(sign in text for sign in ("\n", "\r", " ;", " #", "\t;", "\t#")):
            raise InvalidError(
                f"The path in {text!r} cannot be used.",
                hint="Choose directories without line breaks, ' ;' or ' #' in their names.",
            )
        yield f"{key}={text.replace('%', '%%')}\n"
