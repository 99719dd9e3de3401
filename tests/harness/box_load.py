"""Call endpoints of a box from that box until told to stop: ``python3 -m tests.harness.box_load TARGETS STOP RESULT``."""

import json
import sys
import time
from pathlib import Path

from tests.harness.steady_load import Target, steady_load

PER_SECOND = 100


def main() -> None:
    """Call until the file STOP is there, then write what became of the calls."""
    targets = [Target(**item) for item in json.loads(Path(sys.argv[1]).read_text())]
    stop, result = Path(sys.argv[2]), Path(sys.argv[3])
    with steady_load(targets, per_second=PER_SECOND) as load:
        while not stop.exists():
            time.sleep(0.1)
    told = {"calls": load.calls, "failed": load.failed[:5], "longest_s": load.longest_s}
    result.write_text(json.dumps(told | {"failures": len(load.failed)}))


if __name__ == "__main__":
    main()
