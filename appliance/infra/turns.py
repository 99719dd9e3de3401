"""What a process that becomes its own successor tells those who wait for that."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.infra.replacing import replace_file

_NAME = "gateway-state.json"


@dataclass(frozen=True)
class State:
    """How far it is."""

    release: str
    pid: int
    #: Of the program within the process: 1 after its start, one more with each hand-over.
    turn: int
    #: Whether all children of this turn have taken connections.
    is_serving: bool
    #: Children of earlier turns that still end their calls.
    leaving: int = 0
    #: Hand-overs of this turn that were refused, and why the last one was.
    refusals: int = 0
    refused: str = ""

    def write(self, directory: Path) -> None:
        """Replace what stands in ``directory``."""
        replace_file(directory / _NAME, json.dumps(asdict(self)).encode())


def read_state(directory: Path) -> State | None:
    """Return what was told last; ``None``: nothing was told yet."""
    try:
        return State(**json.loads((directory / _NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
