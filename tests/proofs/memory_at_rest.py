"""Hub, gateway with two workers and Postgres at rest: at most 220 MB of proportional set size. Egress is told beside them.

PSS counts a page shared by n processes as 1/n each, so forked workers that share code are not counted twice. The bridge is
a child of the gateway and is counted.

It runs in an environment as installing makes it, with the dependencies of running alone: some libraries load what only
developing brings, if it is there (structlog does with rich).
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.appliance import Appliance
from tests.proofs.claim import hold

ROOT = Path(__file__).parent.parent.parent
LIMIT_MB = 220
COUNTED = ("postgres", "gateway", "hub")
#: Seconds after readiness; start-up garbage is gone by then and the clock has ticked once.
REST_S = 35


def prove() -> None:
    """Start an appliance with two workers, let it rest, and add up."""
    with (
        as_installed() as mcp_host,
        Appliance.temporary(mcp_host, gw_workers=2) as appliance,
    ):
        appliance.warm_up()  # an appliance that has worked, not one that has yet to load its code
        time.sleep(REST_S)
        together = sum(measured(appliance, name) for name in COUNTED)
        print("beside them:")
        measured(appliance, "egress")
        hold(
            together <= LIMIT_MB,
            f"{', '.join(COUNTED)} together {together:.1f} MB PSS, at most {LIMIT_MB}",
        )


def measured(appliance: Appliance, program: str) -> float:
    """Print what a program and its children take, and return it, in megabytes."""
    tree = family(appliance.pid(program))
    sizes = [pss_mb(pid) for pid in tree]
    each = ", ".join(f"{size:.1f}" for size in sizes)
    print(f"{program:<10} {sum(sizes):6.1f} MB  ({len(tree)} processes: {each})")
    return sum(sizes)


@contextmanager
def as_installed() -> Iterator[list[str]]:
    """Make an environment without what only developing needs, and give what ``mcp-host`` is in it."""
    with tempfile.TemporaryDirectory(prefix="mcp-host-venv-", dir="/var/tmp") as home:
        Path(home).chmod(0o755)
        python = f"{home}/bin/python"
        # As scripts/lib/release.sh does.
        made = 'set -euo pipefail; ROOT=$1; source "${ROOT}/scripts/lib/setup.sh"; make_venv runtime'
        compiled = [python, "-m", "compileall", "-q", "appliance"]
        for argv in (["bash", "-c", made, "bash", str(ROOT)], compiled):
            environment = os.environ | {"MCP_HOST_VENV": home}
            subprocess.run(argv, check=True, cwd=ROOT, env=environment)
        yield [python, "-m", "appliance"]


def family(pid: int) -> list[int]:
    """Return ``pid`` and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def pss_mb(pid: int) -> float:
    """Return the proportional set size of one process, in megabytes of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
