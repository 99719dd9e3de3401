"""How targets are written, and what is run for them."""

import pytest

from appliance.backups.errors import TargetError
from appliance.backups.targets.address import SshAddress, parse
from appliance.backups.targets.opening import split
from appliance.backups.targets.rsync import rsync_command, ssh_command


@pytest.mark.parametrize(
    "text",
    ["/srv/backups", "s3://backups/mcp/box-1", "ssh://backup@vault.example.org:2222/srv/mcp", "ssh://[2001:db8::1]/srv"],
)  # fmt: skip
def test_a_target_reads_as_it_is_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "backups",
        "ftp://example.org/x",
        "s3://A/x",
        "s3://",
        "ssh://host",
        "ssh://-oProxyCommand=x/srv",
        "ssh://user:word@host/srv",
        "ssh://host/srv/$(id)",
        "ssh://host/srv/../etc",
        "ssh://host:99999/srv",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        parse(text)


def test_ssh_never_asks_and_never_trusts_a_stranger() -> None:
    address = SshAddress("vault.example.org", "/srv/mcp", "backup", 2222)

    command = rsync_command(ssh_command(address, key=None, known_hosts=None), "a", "b")

    assert command == [
        "rsync", "--protect-args", "--timeout=120", "--chmod=F600",
        "--rsh=ssh -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15 -o ServerAliveInterval=30",
        "a", "b",
    ]  # fmt: skip


def test_a_backup_elsewhere_is_named_by_its_whole_address() -> None:
    assert split("ssh://h/srv/x.tar") == ("ssh://h/srv", "x.tar")
    assert split("/srv/x.tar") == ("/srv", "x.tar")
