"""What a source may cost: time, bytes, files, memory. The values are settings; the rest is what no server needs."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.settings import Settings

MIB = 1024**2
#: Directories within directories, and bytes of a whole path and of one name in it.
MAX_DEPTH = 64
MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
#: Private memory of a program that reads what a stranger made.
MEMORY_BYTES = 1536 * MIB


@dataclass(frozen=True)
class Limits:
    """Of one source."""

    max_bytes: int
    max_files: int
    timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return what the settings allow."""
        return cls(
            settings.source_max_mib * MIB,
            settings.source_max_files,
            settings.git_timeout,
        )

    def guard(self, argv: Sequence[str]) -> list[str]:
        """Return ``argv`` such that the kernel bounds its memory and every file that it writes. Blocking.

        What it inherits from util-linux is there wherever ``setpriv`` is; without it the polling bounds alone hold.
        """
        prlimit = shutil.which("prlimit")
        if prlimit is None:
            return list(argv)
        # Address space would be the simpler bound, but programs in Go reserve far more than they use.
        bounds = [f"--data={MEMORY_BYTES}", f"--fsize={self.max_bytes}"]
        return [prlimit, *bounds, "--core=0", "--", *argv]
