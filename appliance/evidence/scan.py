"""``python -m appliance.evidence.scan ENGINE CONTAINER OUT``: look through a container's files, in a process of its own.

A tar of some hundred megabytes that a stranger made is not parsed in the hub: a bomb ends this process at its limits, and
the hub's loop is not held up by it. The inventory is written to ``OUT`` as JSON; what went wrong is printed.
"""

import http.client
import json
import resource
import socket
import sys
import tarfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from appliance.evidence.scanning import scan

#: Bytes of memory and seconds of processor that one image may cost.
MEMORY_BYTES = 1024**3
CPU_S = 300
TIMEOUT_S = 120.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def connection(address: str) -> http.client.HTTPConnection:
    """Return a connection to an engine.

    Args:
        address: ``unix:///…`` or ``tcp://host:port``.
    """
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path)
    return http.client.HTTPConnection(
        parts.hostname or "127.0.0.1", parts.port or 2375, timeout=TIMEOUT_S
    )


def main() -> None:
    """Do what the arguments say; exit with 1 and a line if it cannot be done."""
    address, container, out = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    asked = connection(address)
    try:
        asked.request("GET", f"/containers/{quote(container, safe='')}/export")
        response = asked.getresponse()
        if response.status != http.client.OK:
            said = response.read(2000).decode(errors="replace")
            sys.exit(f"The engine answered {response.status}: {said}")
        found = scan(response)
    except (tarfile.TarError, OSError, http.client.HTTPException, MemoryError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    Path(out).write_text(json.dumps(found.as_json()))


if __name__ == "__main__":
    main()
