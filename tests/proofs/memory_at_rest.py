"""Hub, gateway with two workers, egress and Postgres at rest: at most 220 MB of proportional set size.

PSS counts a page shared by n processes as 1/n each, so forked workers that share code are not counted twice. The bridge is
a child of the gateway and is counted.
"""

import time
from pathlib import Path

from tests.harness.appliance import Appliance
from tests.proofs.claim import hold

LIMIT_MB = 220
#: Seconds after readiness; start-up garbage is gone by then and the clock has ticked once.
REST_S = 35


def prove() -> None:
    """Start an appliance with two workers, let it rest, and add up."""
    with Appliance.temporary(gw_workers=2) as appliance:
        appliance.warm_up()  # an appliance that has worked, not one that has yet to load its code
        time.sleep(REST_S)
        total = 0.0
        for program in ("postgres", "gateway", "egress", "hub"):
            tree = family(appliance.pid(program))
            sizes = [pss_mb(pid) for pid in tree]
            total += sum(sizes)
            print(
                f"{program:<10} {sum(sizes):6.1f} MB  ({len(tree)} processes: {', '.join(f'{size:.1f}' for size in sizes)})"
            )
        hold(total <= LIMIT_MB, f"together    {total:6.1f} MB PSS, at most {LIMIT_MB}")


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
