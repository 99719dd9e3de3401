"""What a proof needs on the box that it runs on."""

import shutil

from tests.proofs.claim import MissingError


def need_programs(*names: str) -> None:
    """Let a proof begin.

    Raises:
        MissingError: A program is not here.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise MissingError(f"not on this box: {', '.join(missing)}")
