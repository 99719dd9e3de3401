"""Files that are read while they are written anew."""

import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, so that everybody sees the old or the new. Blocking.

    For what need not outlive a power cut, because its writer writes it again; :mod:`handed_files` is for the rest.

    Raises:
        OSError: It could not be written, and the old one is still there.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
