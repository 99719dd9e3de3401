"""Run a certificate authority on a box until told to stop, and leave where it is: ``python -m tests.harness.box_ca FILE``."""

import json
import sys
import threading
from pathlib import Path

from tests.harness.pebble import pebble


def main() -> None:
    """Write the file when the authority answers."""
    with pebble(http_port=80) as ca:
        root = ca.home / "root.pem"
        root.write_text(ca.root())
        found = {
            "directory": ca.directory_url,
            "ca_file": str(ca.ca_file),
            "dns": ca.dns,
            "root": str(root),
        }
        Path(sys.argv[1]).write_text(json.dumps(found))
        threading.Event().wait()


if __name__ == "__main__":
    main()
