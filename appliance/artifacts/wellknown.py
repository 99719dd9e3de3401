"""Servers that many people use, to begin with: read once from ``wellknown.yaml`` beside this file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter


@dataclass(frozen=True)
class Setting:
    """A variable that a server reads."""

    name: str
    description: str
    is_required: bool = False
    example: str = ""


@dataclass(frozen=True)
class WellKnown:
    """A published server that can be hosted as it is."""

    #: What the address of its form calls it.
    name: str
    title: str
    description: str
    #: As the form of a new server takes it: one of package and image.
    package: str = ""
    image: str = ""
    arguments: tuple[str, ...] = ()
    #: Who shares its container: ``auto``, or ``per-session`` where what it offers depends on the client.
    session_mode: str = "auto"
    settings: tuple[Setting, ...] = ()
    #: How much of the network it needs: ``allow-list`` for ``hosts``, or ``open`` where its work is to go anywhere.
    egress: str = "allow-list"
    #: ``host:port`` each.
    hosts: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What is taken, in one word."""
        return self.package or self.image

    @property
    def needs(self) -> tuple[Setting, ...]:
        """Settings without which it does not work."""
        return tuple(item for item in self.settings if item.is_required)


def find(name: str) -> WellKnown | None:
    """Return the one of this name, if there is one."""
    return next((item for item in KNOWN if item.name == name), None)


def matching(text: str) -> Sequence[WellKnown]:
    """Return those in which each word of ``text`` is found, in any case."""
    words = text.lower().split()
    return [
        item
        for item in KNOWN
        if all(
            word in f"{item.title} {item.source} {item.description}".lower()
            for word in words
        )
    ]


def _read(path: Path) -> tuple[WellKnown, ...]:
    return TypeAdapter(tuple[WellKnown, ...]).validate_python(
        yaml.safe_load(path.read_text("utf-8"))
    )


#: The whole list. Read when this module is, so that no request reads files.
KNOWN = _read(Path(__file__).parent / "wellknown.yaml")
