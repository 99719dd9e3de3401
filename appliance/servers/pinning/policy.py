"""What is done about tools that are not those that were approved. Pure."""

from enum import StrEnum


class PinningMode(StrEnum):
    """What clients get of a tool that was changed, added or renamed since its server's tools were approved."""

    SERVE = "serve"
    #: They get it, and people are told.
    WARN = "warn"
    #: They do not get it until somebody approves.
    QUARANTINE = "quarantine"
