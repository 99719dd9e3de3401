"""The commands of the administration guide that need a box of their own, on a clean Debian with systemd, in their order."""

from tests.harness import guide
from tests.harness.fresh_box import fresh_box
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

#: For one command; the longest installs an engine and everything else.
COMMAND_S = 1500
TAIL = 400


def prove() -> None:
    """Run them."""
    need_programs("docker", "mmdebstrap")
    commands = guide.commands(guide.BOX)
    failed = []
    with fresh_box("trixie", systemd=True) as box:
        for command in commands:
            done = box.run(command, timeout_s=COMMAND_S)
            print(f"{done.seconds:6.1f} s  {command}")
            if done.code:
                failed.append(f"{command}: {done.code}: {done.output[-TAIL:]}")
    for line in failed:
        print(f"  {line}")
    hold(
        not failed,
        f"{len(commands)} commands on a clean box, {len(failed)} failed",
    )
