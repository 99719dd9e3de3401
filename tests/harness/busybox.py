"""Static programs of both architectures, out of which the smallest images are made; ``scripts/test.sh`` fetches them."""

from pathlib import Path

from tests.proofs.claim import MissingError

PROGRAMS = Path("/usr/local/lib/mcp-host-tests")


def busybox(platform: str) -> Path:
    """Return the program for ``linux/amd64`` or ``linux/arm64``.

    Raises:
        MissingError: It is not on this box.
    """
    found = PROGRAMS / f"busybox-{platform.removeprefix('linux/')}"
    if not found.is_file():
        raise MissingError(f"{found} is missing; run scripts/test.sh --setup-only")
    return found
