"""One module a kind of service: connects as a client of it would, and says who answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.integrations.kinds.ports import Destination


@dataclass(frozen=True)
class Asked:
    """What a test is made with."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    destination: Destination
    #: Where its name leads; nothing else is connected to.
    address: str


#: Returns what answered, in a sentence; raises ``ProbeFailedError`` otherwise.
Probe = Callable[[Asked], Awaitable[str]]
