"""What was approved of a server's definitions, what is different now, and what people decided."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is defined. Each of them reaches a model as text."""

    TOOL = "tool"
    PROMPT = "prompt"
    #: What the server says of itself when it is opened; there is one, without a name.
    INSTRUCTIONS = "instructions"


class What(StrEnum):
    """What became of a definition that was approved, or came without having been."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    #: The same but for its name.
    RENAMED = "renamed"


class State(StrEnum):
    """How a change stands."""

    WAITING = "waiting"
    #: Held back until it is approved, or is again what was approved.
    REJECTED = "rejected"


class Action(StrEnum):
    """What a decision did."""

    #: The definitions of the first deployment were taken as they were.
    PIN = "pin"
    APPROVE = "approve"
    REJECT = "reject"
    UNDO = "undo"
    #: A deployment is back whose definitions had been approved together with its image.
    RECOGNISE = "recognise"


@dataclass(frozen=True)
class Reading:
    """When and of what a server's definitions were read."""

    server_id: int
    #: The number of the deployment that was asked.
    deployment: int
    #: What it runs, by id or digest; empty for a remote server.
    image: str
    #: Who wanted that deployment.
    requested_by: str
    #: The server's allow-list, by which its definitions were read; ``None``: it has none.
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Definition:
    """One definition, as a server gives it."""

    kind: Kind
    name: str
    value: Any
    #: ``core.definitions.fingerprint`` of the value.
    hash: str


@dataclass(frozen=True)
class Pin:
    """A definition that somebody approved."""

    kind: Kind
    name: str
    value: Any
    hash: str
    #: What ran when it was approved; empty for a remote server.
    image: str
    #: The number of that deployment.
    deployment: int
    approved_by: str
    approved_at: datetime
    id: int = 0


@dataclass(frozen=True)
class Difference:
    """One definition that is not what was approved."""

    what: What
    kind: Kind
    name: str
    #: The approved name of what has another now; empty otherwise.
    renamed_from: str
    before: Any
    after: Any
    #: Of ``after``; empty when it is gone.
    hash: str


@dataclass(frozen=True)
class Change:
    """A difference that stands, and how."""

    id: int
    difference: Difference
    state: State
    #: Whether clients do not get it.
    is_held: bool
    #: The number of the deployment that said so first.
    deployment: int
    found_at: datetime
    decided_by: str
    decided_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Item:
    """What a decision did to one definition."""

    kind: Kind
    name: str
    what: str
    renamed_from: str = ""
    #: Pins that stopped to hold, and the one that came.
    retired: tuple[int, ...] = ()
    made: int | None = None
    #: Of the definition that was decided about.
    hash: str = ""
    #: How it stood before.
    was: str = State.WAITING.value


@dataclass(frozen=True)
class Decision:
    """What somebody decided, and when and why."""

    id: int
    at: datetime
    actor: str
    action: Action
    reason: str
    items: tuple[Item, ...]
    #: Whether it was taken back.
    is_undone: bool
