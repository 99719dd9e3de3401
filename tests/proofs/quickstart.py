"""Both README commands on boxes that have nothing: two Debians, each with systemd and without.

Cold is the first run of ``quickstart.sh``, which installs the engine and everything else; warm is the second.
"""

import shutil

from tests.harness.fresh_box import FreshBox, fresh_box
from tests.proofs.claim import ClaimBrokenError, MissingError, hold

COLD_S = 300
WARM_S = 20
TESTS_S = 25 * 60
TAIL_LINES = 40


def prove() -> None:
    """Run the two commands on four boxes."""
    for tool in ("docker", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is not installed; scripts/test.sh installs it")
    cold, warm = [], []
    for suite in ("bookworm", "trixie"):
        for systemd in (True, False):
            with fresh_box(suite, systemd=systemd) as box:
                where = f"{suite} {'systemd' if systemd else 'plain'}"
                cold.append(_seconds(box, where, "scripts/quickstart.sh", COLD_S * 2))
                warm.append(_seconds(box, where, "scripts/quickstart.sh", WARM_S * 4))
                _seconds(box, where, "scripts/quickstart.sh stop", 120)
                tests = _seconds(box, where, "CI=true scripts/test.sh", TESTS_S)
                print(
                    f"{where:<18} cold {cold[-1]:5.0f} s, warm {warm[-1]:4.1f} s, tests {tests / 60:4.1f} min"
                )
    hold(
        max(cold) <= COLD_S and max(warm) <= WARM_S,
        f"slowest: cold {max(cold):.0f} s, at most {COLD_S}; warm {max(warm):.1f} s, at most {WARM_S}",
    )


def _seconds(box: FreshBox, where: str, command: str, timeout_s: float) -> float:
    outcome = box.run(command, timeout_s=timeout_s)
    if outcome.code:
        tail = "\n".join(outcome.output.splitlines()[-TAIL_LINES:])
        raise ClaimBrokenError(
            f"{where}: {command} exited {outcome.code} after {outcome.seconds:.0f} s\n{tail}"
        )
    return outcome.seconds
