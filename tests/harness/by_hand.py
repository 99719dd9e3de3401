"""Published servers as people start them: ``npx`` or ``uvx`` in a container of the base image, spoken to over its pipes."""

import json
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.mcp import INITIALIZE

#: Seconds from the start of ``npx`` or ``uvx``, which download first, to the last answer.
LIMIT_S = 300
#: Lines of its own that a server's failure shows.
SHOWN_LINES = 6


class NotByHandError(Exception):
    """It does not list its tools by hand, either; the text has its last output."""


@dataclass(frozen=True)
class Package:
    """One line of a list of packages."""

    registry: str
    name: str
    arguments: tuple[str, ...] = ()
    #: What ``uvx`` starts; empty: the package's own name.
    program: str = ""
    #: Who shares its container where it is hosted; what some servers offer depends on the client.
    session_mode: str = "auto"

    @property
    def text(self) -> str:
        """The package as the appliance reads it."""
        return f"{self.registry}:{self.name}"


def read_packages(path: Path) -> list[Package]:
    """Return the packages of a list; ``#`` begins a comment."""
    found = []
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            cells = [*line.split("\t"), "", "", ""]
            registry, name, arguments, program, mode, *_ = cells
            found.append(
                Package(
                    registry, name, tuple(arguments.split()), program, mode or "auto"
                )
            )
    return found


def command(package: Package, *, as_of: str = "") -> list[str]:
    """Return what a person types.

    Args:
        package: Which.
        as_of: Only with what was published before this moment; empty: with the newest.
    """
    if package.registry == "npm":
        before = [f"--before={as_of}"] if as_of else []
        return ["npx", "-y", *before, package.name, *package.arguments]
    before = [f"--exclude-newer={as_of}"] if as_of else []
    start = ["--from", package.name, package.program] if package.program else []
    return ["uvx", "-q", *before, *(start or [package.name]), *package.arguments]


def tools_by_hand(
    base: str, package: Package, *, cache: str, as_of: str = ""
) -> list[str]:
    """Return the names of the tools that the package lists, sorted.

    Args:
        base: The image that has Node and uv.
        package: Which.
        cache: Name of a volume for downloads.
        as_of: As with ``command``.

    Raises:
        NotByHandError: It ended, or was still silent after ``LIMIT_S``.
    """
    name = f"by-hand-{secrets.token_hex(4)}"
    argv = ["docker", "run", "--rm", "-i", f"--name={name}", f"--volume={cache}:/cache"]
    argv += ["--env=NPM_CONFIG_CACHE=/cache/npm", "--env=UV_CACHE_DIR=/cache/uv"]
    argv += ["--env=PATH=/opt/mcp/node/bin:/usr/local/bin:/usr/bin:/bin", base]
    process = subprocess.Popen(
        [*argv, *command(package, as_of=as_of)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    printed: list[str] = []
    reader = threading.Thread(target=_collect, args=(process, printed))
    reader.start()
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        return _listed(process)
    except (ValueError, OSError, KeyError) as error:
        process.kill()
        reader.join()
        last = " | ".join(line.strip() for line in printed if line.strip())
        raise NotByHandError(f"{error} {last[-600:]}") from error
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        # Not every server ends when its input closes.
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
        reader.join()


def _collect(process: subprocess.Popen[str], printed: list[str]) -> None:
    assert process.stderr
    for line in process.stderr:
        printed.append(line)
        del printed[:-SHOWN_LINES]


def _listed(process: subprocess.Popen[str]) -> list[str]:
    _ask(process, 1, "initialize", INITIALIZE)
    _send(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    names: list[str] = []
    cursor, number = "", 1
    while True:
        number += 1
        params = {"cursor": cursor} if cursor else {}
        page = _ask(process, number, "tools/list", params)
        names += [tool["name"] for tool in page["tools"]]
        cursor = page.get("nextCursor", "")
        if not cursor:
            return sorted(names)


def _ask(
    process: subprocess.Popen[str], number: int, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    _send(process, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    assert process.stdout
    for line in process.stdout:
        # Some greet on the channel that is the protocol's.
        if not line.startswith("{"):
            continue
        answer = json.loads(line)
        if answer.get("id") == number and "method" not in answer:
            return dict(answer["result"])
    raise ValueError(f"It closed its output ({_code(process)}).")


def _code(process: subprocess.Popen[str]) -> str:
    for _ in range(20):
        if process.poll() is not None:
            break
        time.sleep(0.1)
    return f"exit code {process.returncode}"


def _send(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
