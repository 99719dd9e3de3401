"""Says that a box cannot run programs of another architecture, and what to install. Pure."""

import re
from collections.abc import Sequence

from appliance.builds.errors import EmulationMissingError

#: The kernel's words, behind whoever's they come; and mmdebstrap's.
_REFUSED = re.compile(
    r"exec format error|can neither be executed natively nor via qemu", re.IGNORECASE
)


def explain_foreign(platform: str | None, output: Sequence[str]) -> None:
    """Do nothing unless ``output`` shows that programs of ``platform`` could not be run.

    Raises:
        EmulationMissingError: It does.
    """
    if platform and any(_REFUSED.search(line) for line in output):
        raise emulation_missing(platform)


def emulation_missing(platform: str) -> EmulationMissingError:
    """Return the error for a platform whose programs do not run here."""
    return EmulationMissingError(
        f"This box cannot run programs of {platform}, so no image can be built for it.",
        hint="On the engine's box install qemu-user-static, binfmt-support and arch-test (with REGISTRY_ARCH_TARGETS set,"
        f" scripts/quickstart.sh does), or take {platform} out of REGISTRY_ARCH_TARGETS.",
    )
