"""The directories of the front door."""

from pathlib import Path

from appliance.core.front_door import CERTIFICATES, CHALLENGES
from appliance.infra.handed_files import Reader, hand_directory


def prepare(proxy_dir: Path, reader: Reader) -> None:
    """Make the directories below ``proxy_dir``. Blocking; idempotent."""
    for directory in (proxy_dir, proxy_dir / CERTIFICATES, proxy_dir / CHALLENGES):
        hand_directory(directory, reader)
