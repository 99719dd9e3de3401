"""What one rule says of the facts. Pure."""

from dataclasses import dataclass
from enum import IntEnum


class Effect(IntEnum):
    """What follows of it; of several, the heaviest counts."""

    #: Nothing: it is only told.
    NOTE = 0
    #: It waits for an approval.
    GOVERN = 1
    #: It waits for a certification.
    EVALUATE = 2
    #: It cannot or must not run as it is.
    REFUSE = 3


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found."""

    #: For programs: ``evaluation:missing:gold:npm:smoke``.
    note: str
    effect: Effect = Effect.NOTE
    #: Why, a sentence for people; empty where nothing follows of it.
    told: str = ""
    #: What to do next, a sentence.
    action: str = ""
    #: Whether what runs already has to end.
    ends_running: bool = False
