"""Who the children of a master are, written down for the one that comes after a master which was killed.

They go on serving, and hold the listener and the last routing table: the next master takes copies of both (``pidfd_getfd``), so
that the port is never closed, and relieves them when its own children serve.
"""

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.gateway.handover import Handed
from appliance.infra.descriptors import copied, takes_connections
from appliance.infra.process_facts import born_at
from appliance.infra.replacing import replace_file

_NAME = "gateway-children.json"


@dataclass(frozen=True)
class Child:
    """A process, not to be taken for a later one of the same number."""

    pid: int
    name: str
    born_at: int


@dataclass(frozen=True)
class Roll:
    """The living children of a master, and the descriptors that they have from it."""

    master: int
    master_born_at: int
    listener: int
    snapshot: int
    children: tuple[Child, ...] = ()

    def write(self, directory: Path) -> None:
        """Replace what stands in ``directory``. Blocking."""
        replace_file(directory / _NAME, json.dumps(asdict(self)).encode())


def enrolled(listener: int, snapshot: int, names: dict[int, str]) -> Roll:
    """Return the roll of this process's children, by their numbers, as far as they live."""
    me = os.getpid()
    living = {pid: born for pid in names if (born := born_at(pid)) is not None}
    children = (Child(pid, names[pid], born) for pid, born in living.items())
    return Roll(me, born_at(me) or 0, listener, snapshot, tuple(children))


def orphans(directory: Path) -> Roll | None:
    """Return what a master left behind in ``directory`` that was killed; ``None``: nobody serves on. Blocking."""
    try:
        values = json.loads((directory / _NAME).read_text())
        children = [Child(**item) for item in values.pop("children")]
        living = tuple(item for item in children if born_at(item.pid) == item.born_at)
        roll = Roll(**values, children=living)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_led = born_at(roll.master) == roll.master_born_at
    return roll if living and not is_led else None


def inherited(roll: Roll, address: tuple[str, int]) -> Handed | None:
    """Return what the master would have handed over; ``None``: it cannot be had, or clients are to find us elsewhere."""
    for child in roll.children:
        with contextlib.suppress(OSError):
            listener = copied(child.pid, roll.listener)
            snapshot = copied(child.pid, roll.snapshot)
            if listener is not None and snapshot is not None:
                if _listens(listener, address):
                    names = {item.pid: item.name for item in roll.children}
                    return Handed(listener, snapshot, names)
                os.close(snapshot)
            if listener is not None:
                os.close(listener)
    return None


def _listens(descriptor: int, address: tuple[str, int]) -> bool:
    """Whether it takes connections to ``address``; it stays open."""
    with socket.socket(fileno=os.dup(descriptor)) as item:
        return takes_connections(item) and item.getsockname()[:2] == address
