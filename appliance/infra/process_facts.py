"""What the system says of a process."""

import contextlib
from pathlib import Path

from appliance.infra.watchdog import Condition

_UNKNOWN = Condition("?")
#: Where in ``/proc/PID/stat`` the moment of its start stands, after its name (proc(5), field 22).
_STARTED = 19


def condition_of(pid: int) -> Condition:
    """Return how a process is; one that is gone is as ``?``. Blocking, but only on memory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return Condition(
            values["State"].split()[0], is_traced=int(values["TracerPid"]) != 0
        )
    return _UNKNOWN


def born_at(pid: int) -> int | None:
    """Return when a process was started, in ticks of the box's clock; ``None``: it is gone. Blocking, but only on memory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[_STARTED])
    return None
