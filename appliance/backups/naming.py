"""What a backup's file is called: by installation, moment and reason, so that a target needs no index. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"mcp-host-([0-9a-f]{12})-(\d{8}T\d{6}Z)(-manual)?\.tar")
#: Before the name of what is not whole yet.
UNFINISHED = "."


@dataclass(frozen=True)
class BackupName:
    """What a file name says."""

    installation: str
    at: datetime
    #: Whether the clock made it; only such are ever removed by retention.
    is_scheduled: bool = True

    def __str__(self) -> str:
        """Return the file name."""
        suffix = "" if self.is_scheduled else "-manual"
        return f"mcp-host-{self.installation}-{self.at.astimezone(UTC):{_STAMP}}{suffix}.tar"


def parse(name: str) -> BackupName | None:
    """Return what a file name says; ``None``: it is none of a backup.

    >>> parse("mcp-host-0a1b2c3d4e5f-20261122T010203Z.tar").at.hour
    1
    >>> parse("mcp-host-0a1b2c3d4e5f.tar") is None
    True
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        at = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return BackupName(match[1], at, is_scheduled=not match[3])
