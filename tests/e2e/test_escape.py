"""A server that tries to get out of its container fails at every trick, and its page tells of what it tried."""

from pathlib import Path

from tests.engine import NO_DISKS
from tests.harness.appliance import Appliance
from tests.harness.escapes import (
    hosted,
    network_tried,
    session,
    tried,
    until_on_the_page,
)

#: What gets somewhere where the box has no disks to give, so that /data has no size of its own.
UNBOUNDED = frozenset({"fill_disk", "claim_disk"}) if NO_DISKS else frozenset()


def test_no_trick_leads_out_and_the_page_tells(
    appliance: Appliance, tmp_path: Path
) -> None:
    outside = tmp_path / "of-the-box"
    outside.write_text("no server may read this")
    outside.chmod(0o644)

    with hosted(appliance) as (server, neighbour), session(server) as client:
        came = tried(client, outside)
        all_ways, network = network_tried(client, appliance, server, neighbour)
        missing = until_on_the_page(appliance, server, all_ways)

    held = [item for item in came if item.name not in UNBOUNDED]
    assert [item for item in held + network if item.got_out] == []
    assert all(item.said.startswith("refused: ") for item in held)
    assert [item for item in missing if not NO_DISKS or not _is_of_disks(item)] == []


def _is_of_disks(missing: str) -> bool:
    return missing.endswith(("limit data", *UNBOUNDED))
