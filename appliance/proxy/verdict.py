"""How the front door is, in one word and one sentence. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.proxy.model import DoorState, NginxState

#: The controller looks every minute; three that it missed are no coincidence.
SILENT_AFTER = timedelta(minutes=3)
_SHOWN = 3


class DoorHealth(StrEnum):
    """One word for all of it."""

    OFF = "off"
    OK = "ok"
    DEGRADED = "degraded"


@dataclass(frozen=True)
class Verdict:
    """What a person should know."""

    health: DoorHealth
    text: str
    #: The next step; empty: there is none to take.
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Both in one line."""
        return f"{self.text} {self.hint}".strip()


def judge(state: DoorState | None, moment: datetime, *, is_enabled: bool) -> Verdict:
    """Return how the front door is, by what its controller saw last; ``None``: it never looked."""
    if not is_enabled:
        return Verdict(
            DoorHealth.OFF,
            "No front door of this box: PROXY_ENABLED is not set.",
            "Set PROXY_ENABLED=true and PUBLIC_URL, or put a proxy of your own before the hub and the gateway.",
        )
    if state is None:
        return _bad(
            "The controller of the front door has not told anything yet.",
            "Look at mcp-host status, and at proxy.log in DATA_DIR/log.",
        )
    if moment - state.seen_at > SILENT_AFTER:
        return _bad(
            f"The controller of the front door was seen last at {state.seen_at:%H:%M} UTC; what it has set up serves on.",
            "Look at mcp-host status, and at proxy.log in DATA_DIR/log.",
        )
    if state.nginx is NginxState.STOPPED:
        missing = (
            ""
            if state.version
            else " It is not installed: apt-get install nginx-light."
        )
        return _bad(
            f"Nginx does not run.{missing}",
            "Look at mcp-host status, and at nginx.log in DATA_DIR/log.",
        )
    if state.problem:
        return _bad(
            f"Nginx serves an older configuration: {state.problem}",
            "Mend what it names; it is tried again every minute.",
        )
    if state.quarantined:
        return _quarantined(state)
    return Verdict(
        DoorHealth.OK,
        f"Nginx {state.version} serves {_counted(state.certificates, 'name')} beside the box's own.",
    )


def _quarantined(state: DoorState) -> Verdict:
    names = [item.name for item in state.quarantined]
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return _bad(
        f"{_counted(len(names), 'name')} left out: {shown}{more}. All others are served.",
        "The page Front door says why.",
    )


def _bad(text: str, hint: str) -> Verdict:
    return Verdict(DoorHealth.DEGRADED, text, hint)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
