"""A hosted server tries every way out of its container and its network by calls of its tools: each fails and is on its page.

On the page means: every trick that was refused is among the server's invocations with what it was told; limits that it ran
into (processes, memory, /data) are on its isolation tab; destinations that it was denied are on its egress tab. What the
kernel refuses inside a container without telling anybody (EPERM, EROFS) is on the page through the call alone.

The suite can fail: the same tricks are tried by a server from which hardening was taken away, and one of them must work.
"""

import tempfile
from pathlib import Path

from tests.harness.appliance import Appliance
from tests.harness.escapes import (
    Outcome,
    died_of,
    hosted,
    network_tried,
    session,
    tried,
    until_on_the_page,
)
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs


def prove() -> None:
    """Try everything in each tier that this box has, and then with hardening taken away."""
    need_programs("nft")
    with (
        Appliance.temporary(gw_workers=1) as appliance,
        tempfile.TemporaryDirectory() as directory,
    ):
        outside = Path(directory, "of-the-box")
        outside.write_text("no server may read this")
        Path(directory).chmod(0o755)
        caught = relaxed(appliance, outside)
        tricks, network, missing = standard(appliance, outside)
        boxed = sandboxed(appliance, outside)
    out = [item.name for item in tricks + network + boxed if item.got_out]
    hold(bool(caught), f"with hardening taken away these work: {', '.join(caught)}")
    hold(
        not missing,
        f"on the page: all of it{': not ' if missing else ''}{'; '.join(missing)}",
    )
    hold(
        not out,
        f"{len(tricks)} tricks, {len(network)} ways through the network, {len(boxed)} tricks in gVisor;"
        f" led somewhere: {', '.join(out) or 'none'}",
    )


def standard(
    appliance: Appliance, outside: Path
) -> tuple[list[Outcome], list[Outcome], list[str]]:
    """Try everything in the tier that every box has; return what came of it, and what the page did not tell."""
    with hosted(appliance) as (server, neighbour), session(server) as client:
        tricks = tried(client, outside)
        all_ways, network = network_tried(client, appliance, server, neighbour)
        show("standard", tricks + network)
        return tricks, network, until_on_the_page(appliance, server, all_ways)


def sandboxed(appliance: Appliance, outside: Path) -> list[Outcome]:
    """Try the tricks in gVisor, where this box has it."""
    server = appliance.create("which-tiers", package="pypi:mcp-server-time")
    tiers = appliance.api("GET", f"/api/servers/{server.id}/isolation")["tiers"]
    appliance.delete(server.id)
    if "sandboxed" not in tiers:
        print("sandboxed: this box's engine has no gVisor (scripts/install_gvisor.sh)")
        return []
    with hosted(appliance, tier="sandboxed", pids=256) as (inside, _):
        with session(inside) as client:
            found = tried(client, outside, but=ENDS_IT)
            found.append(died_of(client, "exhaust_memory", outside))
        show("sandboxed", found)
        return [item for item in found if item.name not in OWN_KERNEL]


#: What uses up the memory or the threads of gVisor itself ends it, with the server in it.
ENDS_IT = frozenset({"exhaust_memory", "fill_memory_disks", "fork_bomb"})
#: What a sandboxed server does to a kernel that is its own: none of it reaches the box.
OWN_KERNEL = frozenset({"ptrace", "user_namespace"})


def relaxed(appliance: Appliance, outside: Path) -> list[str]:
    """Return which tricks work for a server that may make every system call that the engine allows."""
    with (
        hosted(appliance, relaxations=["engine-syscalls"]) as (server, _),
        session(server) as client,
    ):
        return [item.name for item in tried(client, outside) if item.got_out]


def show(tier: str, outcomes: list[Outcome]) -> None:
    """Print what came of each."""
    for item in outcomes:
        mark = "GOT OUT" if item.got_out else "refused"
        if item.got_out and tier == "sandboxed" and item.name in OWN_KERNEL:
            mark = "own"  # within a kernel that is its own
        print(f"{tier:<10} {mark:<8} {item.name:<32} {item.said[:110]}")
