"""A blank box becomes a host, outlives a reboot, an upgrade and a failing one, and is brought back on another blank box.

On each Debian: install; host a server under a name of its own, with a certificate from an authority that refuses every other
nonce; restart the box; upgrade, and fail to, under 100 calls a second; kill an upgrade in the middle; back up;
restore elsewhere.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.fresh_box import fresh_box
from tests.harness.installed_box import HUB_NAME, InstalledBox
from tests.proofs.claim import MissingError, hold

SUITES = ("bookworm", "trixie")
NAME = "clock.box.test"
UPGRADE_S = 600
#: Gets ready beside the release that serves, but not in its place.
_SPOIL = (
    "sed -i 's/^    problem = bring_schema_up(settings)$/    raise SystemExit(1)/' /root/bad/appliance/bootstrap.py"
    " && ! cmp -s /root/bad/appliance/bootstrap.py /root/src/appliance/bootstrap.py"
)


def prove() -> None:
    """Go the whole way on each Debian."""
    for tool in ("docker", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is not installed; scripts/test.sh installs it")
    figures = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as kept:
        for suite in SUITES:
            backup = Path(kept) / f"{suite}.tar"
            with fresh_box(suite, systemd=True) as box:
                figures.append(f"{suite}: {_first(InstalledBox(box), backup)}")
                before = _known(InstalledBox(box))
            with fresh_box(suite, systemd=True) as box:
                _second(InstalledBox(box), backup, before)
    hold(condition=True, figures="; ".join(figures))


def _first(box: InstalledBox, backup: Path) -> str:
    """Have it serve, and keep it serving; return the figures."""
    password = box.install()
    again = box.run(f"scripts/install.sh --yes --public-url https://{HUB_NAME}")
    hold("nothing was changed" in again, "a second installation changes nothing")
    box.sign_in(password)
    box.add_authority()
    box.lead(HUB_NAME, NAME)
    key = _host(box)
    box.run(f"echo {key} >/root/key")
    served = box.serial(NAME)
    hold("ebble" in served, f"the certificate is the authority's: {served.strip()}")

    box.reboot()
    box.lead(HUB_NAME, NAME)
    box.wait(box.call(f"https://{NAME}/mcp", key), "the server answers after a reboot")
    hold(box.serial(NAME) == served, "after a reboot: same certificate, and it answers")

    figures = [*_upgrades(box, key)]
    _interrupted(box, key)
    box.run("printf secret-of-the-proof >/root/passphrase; mkdir -p /root/backups")
    box.run(
        "mcp-host backup --to /root/backups --passphrase-file /root/passphrase",
        timeout_s=600,
    )
    box.copy_out(box.run("ls /root/backups/*").split()[0], backup)
    return ", ".join(figures)


def _host(box: InstalledBox) -> str:
    """Host a server under a name of its own, and return its key."""
    box.run(
        "mcpctl servers create clock --package pypi:mcp-server-time --wait",
        timeout_s=900,
    )
    box.run(
        "echo what was brought >/root/kept.txt; mcpctl files put clock /root/kept.txt"
    )
    box.run(f"mcpctl domains add clock {NAME} --wait", timeout_s=300)
    key = str(box.json("servers key clock --yes")["endpoint_key"])
    box.wait(box.call(f"https://{NAME}/mcp", key), "the server answers under its name")
    return key


def _targets(key: str) -> list[dict[str, Any]]:
    call = {
        "key": key,
        "tool": "get_current_time",
        "arguments": {"timezone": "Europe/Paris"},
        "ca_file": "/root/ca/root.pem",
    }
    urls = ("http://127.0.0.1:4444/servers/clock/mcp", f"https://{NAME}/mcp")
    return [call | {"url": url} for url in urls]


def _upgrades(box: InstalledBox, key: str) -> list[str]:
    """Upgrade, and fail to, under load."""
    box.run("scripts/release.sh --version 9.0.0 /root/dist")
    box.run(f"cp -r /root/src /root/bad && {_SPOIL}")
    box.run("/root/bad/scripts/release.sh --version 9.0.1 /root/bad-dist")
    found = []
    for archive, fails in (
        ("/root/dist/mcp-host-9.0.0.tar.gz", False),
        ("/root/bad-dist/mcp-host-9.0.1.tar.gz", True),
    ):
        with box.load(_targets(key)) as load:
            box.run(f"scripts/upgrade.sh {archive}", timeout_s=UPGRADE_S, fails=fails)
        what = "failing upgrade" if fails else "upgrade"
        told = f"{what}: {load['calls']} calls, {load['failures']} failed, longest {load['longest_s']:.2f} s"
        hold(not load["failures"] and load["calls"] > 0, f"{told} {load['failed']}")
        found.append(told)
        hold(box.run("mcp-host version").strip() == "9.0.0", "the box is at 9.0.0")
    return found


def _interrupted(box: InstalledBox, key: str) -> None:
    """Kill an upgrade when it has just switched; the box goes on, and the same command ends it."""
    box.run("scripts/release.sh --version 9.1.0 /root/dist")
    begun = "scripts/upgrade.sh /root/dist/mcp-host-9.1.0.tar.gz"
    box.run(
        f"setsid {begun} >/root/upgrade.log 2>&1 & "
        "for _ in $(seq 6000); do [ -e /opt/mcp-host/upgrade.json ] && [ $(readlink /opt/mcp-host/current) = releases/9.1.0 ]"
        " && break; sleep 0.05; done; kill -9 -- -$!; [ -e /opt/mcp-host/upgrade.json ]",
        timeout_s=UPGRADE_S,
    )
    box.wait(box.call(f"https://{NAME}/mcp", key), "a killed upgrade leaves it serving")
    box.run(begun, timeout_s=UPGRADE_S)
    box.wait(box.call(f"https://{NAME}/mcp", key), "it answers after that")
    hold(box.run("mcp-host version").strip() == "9.1.0", "a second run finished it")


def _known(box: InstalledBox) -> dict[str, Any]:
    """Return what must be the same on another box."""
    server = box.json("servers show clock")
    return {
        "endpoint": server["endpoint"],
        "key": box.run("cat /root/key").strip(),
        "certificate": box.serial(NAME),
        "ledger": [item["manifest_digest"] for item in box.json("artifacts list")["items"]],
        # Another box first makes the image by which it looks into volumes.
        "file": box.wait("mcpctl files get clock kept.txt -o -", "the file is there"),
        "root": box.run("cat /root/ca/root.pem"),
        "api_key": box.run("cat /root/.config/mcpctl/config.json").strip(),
    }  # fmt: skip


def _second(box: InstalledBox, backup: Path, before: dict[str, Any]) -> None:
    """Bring it back."""
    box.install()
    box.run("systemctl stop mcp-host", timeout_s=180)
    box.copy_in(backup, "/root/backup.tar")
    box.run(
        "printf secret-of-the-proof >/root/passphrase; mkdir -p /root/ca /root/.config/mcpctl"
    )
    box.run(
        "mcp-host restore /root/backup.tar --passphrase-file /root/passphrase --force"
        " --env-file /etc/mcp-host/mcp-host.env",
        timeout_s=900,
    )  # fmt: skip
    box.run(f"cat >/root/ca/root.pem <<'END'\n{before['root']}END")
    box.run(f"cat >/root/.config/mcpctl/config.json <<'END'\n{before['api_key']}\nEND")
    box.run("systemctl start mcp-host", timeout_s=180)
    box.wait_ready()
    box.lead(HUB_NAME, NAME)
    box.wait(box.call(f"https://{NAME}/mcp", before["key"]), "the server answers there")
    box.run(f"echo {before['key']} >/root/key")
    now = _known(box)
    different = [name for name in before if now[name] != before[name]]
    hold(not different, f"brought back; different: {different or 'nothing'}")
    box.run("scripts/install.sh --uninstall --purge --yes", timeout_s=180)
    left = box.run(
        "ls -d /opt/mcp-host /etc/mcp-host /var/lib/mcp-host /usr/local/bin/mcp* 2>/dev/null;"
        " docker ps -aq; docker volume ls -q; pgrep -a supervisord; nft list tables | grep mcp; true"
    )
    hold(not left.strip(), f"after --uninstall --purge nothing is left {left}")
