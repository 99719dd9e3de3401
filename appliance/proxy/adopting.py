"""Takes over the ports of an Nginx that was killed, without a moment in which nobody listens.

Its workers live on and hold the listening sockets. The kernel hands out copies of them (``pidfd_getfd``) to whoever could
trace the worker anyway, and Nginx takes sockets that it is given (``NGINX``, as when it is exchanged for a newer one).
"""

import contextlib
import os
import re
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from appliance.infra.descriptors import copied, takes_connections

_SOCKET = re.compile(r"socket:\[(\d+)\]")


def listeners(pids: Iterable[int], ports: Collection[int]) -> list[socket.socket]:
    """Return copies of the sockets on which these processes take connections to ``ports``, each once, as far as we may."""
    found: dict[str, socket.socket] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name, descriptor in _sockets_of(pid):
                if name not in found and (copy := copied(pid, descriptor)) is not None:
                    found[name] = socket.socket(fileno=copy)
    kept = {name: item for name, item in found.items() if _takes(item, ports)}
    for name in set(found) - set(kept):
        found[name].close()
    return list(kept.values())


def hand_on(sockets: Iterable[socket.socket]) -> None:
    """Have the program that this process becomes find the sockets, if it is Nginx."""
    numbers = []
    for item in sockets:
        item.set_inheritable(True)
        numbers.append(item.detach())
    os.putenv("NGINX", "".join(f"{number};" for number in numbers))


def _sockets_of(pid: int) -> Iterable[tuple[str, int]]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if _SOCKET.fullmatch(name := str(entry.readlink())):
                yield name, int(entry.name)


def _takes(item: socket.socket, ports: Collection[int]) -> bool:
    if item.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    return takes_connections(item) and item.getsockname()[1] in ports
