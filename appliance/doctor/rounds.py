"""All looks, one after the other; one that breaks is a finding, too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from appliance.core.errors import DomainError
from appliance.doctor import box, data, programs, running
from appliance.doctor.model import Check, Finding, fail, ok
from appliance.settings import Settings

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"


def checks(settings: Settings) -> dict[str, Check]:
    """Return every look by its part, in the order in which they are told."""
    return {
        "secrets": partial(box.modes, settings),
        "disk": partial(box.disk, settings),
        "memory": box.memory,
        "clock": box.clock,
        "network": box.way_out,
        "engine": partial(programs.engine, settings),
        "firewall": partial(programs.firewall, settings),
        "front door": partial(programs.front_door, settings),
        "postgres": partial(data.database, settings, MIGRATIONS),
        "processes": partial(running.processes, settings),
        "dns": lambda: box.names(data.domain_names(settings)),
    }


def look(
    settings: Settings, *, told: Callable[[str], None] = lambda _part: None
) -> list[Finding]:
    """Look at everything. Blocking, some seconds.

    Args:
        told: Told of each part before it is looked at.
    """
    found = [
        ok(
            "settings",
            f"{len(settings.model_fields_set)} settings are set, all of them right.",
        )
    ]
    for part, check in checks(settings).items():
        told(part)
        found += _try(part, check)
    return found


def _try(part: str, check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except DomainError as error:
        found.append(fail(part, error.detail, error.hint or ""))
    except Exception as fault:  # noqa: BLE001 - a look that breaks must not keep the others from being told
        found.append(
            fail(part, f"It could not be looked at: {type(fault).__name__}: {fault}")
        )
    return found
