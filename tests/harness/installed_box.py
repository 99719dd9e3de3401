"""A blank box on which MCP Host is installed as an operator does it, with a certificate authority on it."""

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.fresh_box import CERTIFICATES, FreshBox
from tests.proofs.claim import ClaimBrokenError

HUB_NAME = "mcp.box.test"
PATIENCE_S = 180
TAIL_LINES = 40
ADMIN = "admin@box.test"
_PYTHON = "/opt/mcp-host/current/venv/bin/python"
_PEBBLE = """
apt-get install -y -qq pebble || {
  ROOT=$PWD; source scripts/lib/setup.sh
  unpack_deb pebble trixie "$(dpkg --print-architecture)" /root/pebble
  cp /root/pebble/usr/bin/pebble* /usr/local/bin/
}"""


@dataclass
class InstalledBox:
    """One such box."""

    box: FreshBox

    def run(self, command: str, *, timeout_s: float = 120, fails: bool = False) -> str:
        """Run a command line and return what it printed.

        Raises:
            ClaimBrokenError: It failed, or with ``fails`` it did not.
        """
        done = self.box.run(command, timeout_s=timeout_s)
        if bool(done.code) is not fails:
            tail = "\n".join(done.output.splitlines()[-TAIL_LINES:])
            raise ClaimBrokenError(f"{command}: exit code {done.code}\n{tail}")
        return done.output

    def json(self, command: str) -> Any:
        """Run ``mcpctl`` and return its JSON."""
        return json.loads(self.run(f"mcpctl {command} --json"))

    def wait(self, command: str, what: str) -> str:
        """Run a command until it succeeds, and return what it printed then."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = self.box.run(command, timeout_s=60)
            if not done.code:
                return done.output
            if time.monotonic() > deadline:
                raise ClaimBrokenError(
                    f"not within {PATIENCE_S} s: {what}\n{done.output}"
                )
            time.sleep(1)

    def install(self) -> str:
        """Install, and return the first administrator's password."""
        said = self.run(
            f"scripts/install.sh --yes --public-url https://{HUB_NAME} --admin-email {ADMIN}",
            timeout_s=900,
        )
        return said.partition("Password: ")[2].split()[0]

    def sign_in(self, password: str) -> None:
        """Have ``mcpctl`` on the box know who asks."""
        login = (
            f"mcpctl login --url http://127.0.0.1:3000 --email {ADMIN} --password-stdin"
        )
        self.run(f"{login} <<<{shlex.quote(password)}")

    def add_authority(self) -> None:
        """Run an authority that refuses every other nonce, and have the box order from it."""
        self.run(_PEBBLE, timeout_s=300)
        self.run(
            f"systemd-run --unit=test-ca --working-directory=/root/src --setenv=PYTHONPATH=/root/src"
            f" --setenv=PATH=/usr/local/bin:/usr/bin {_PYTHON} -m tests.harness.box_ca /root/ca.json"
        )
        found = json.loads(self.wait("cat /root/ca.json", "the authority answers"))
        lines = {
            "ACME_EMAIL": ADMIN,
            "ACME_DIRECTORY_URL": found["directory"],
            "ACME_CA_FILE": "/root/ca/directory.pem",
            "DNS_RESOLVERS": found["dns"],
            "PUBLIC_ADDRESSES": "127.0.0.1",
        }
        self.run(
            f"mkdir -p /root/ca && cp {found['ca_file']} {found['root']} /root/ca/"
        )
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        self.run(f"cat >>/etc/mcp-host/mcp-host.env <<'END'\n{text}END")
        self.run("systemctl restart mcp-host", timeout_s=180)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the hub is ready."""
        self.wait("curl -fsS http://127.0.0.1:3000/readyz", "the hub is ready")

    def lead(self, *names: str) -> None:
        """Let names lead to this box, on this box; it forgets that when it is restarted."""
        self.run(f"echo 127.0.0.1 {' '.join(names)} >>/etc/hosts")

    def call(self, url: str, key: str) -> str:
        """Return what a command line prints that calls the tool of the server behind ``url``."""
        body = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "get_current_time", "arguments": {"timezone": "Europe/Paris"}},
        }  # fmt: skip
        return (
            f"curl -fsS --cacert /root/ca/root.pem -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
            f" -H 'Accept: application/json, text/event-stream' -d {shlex.quote(json.dumps(body))} {url} | grep -q timezone"
        )

    def serial(self, name: str) -> str:
        """Return the serial number and the issuer of what is served under ``name``."""
        return self.run(
            f"openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null"
            " | openssl x509 -noout -serial -issuer"
        )

    def reboot(self) -> None:
        """Stop the box in order, as its own shutdown does, and start it."""
        name = self.box.name
        docker("kill", "--signal=RTMIN+3", name)
        with suppress(subprocess.TimeoutExpired):
            docker("wait", name, timeout_s=180)
        docker("start", name)
        self.wait("systemctl is-active mcp-host", "the service is up")

    @contextmanager
    def load(self, targets: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Make 100 calls a second while inside; afterwards the yielded mapping says what became of them."""
        result: dict[str, Any] = {}
        text = shlex.quote(json.dumps(targets))
        self.run("rm -f /root/stop /root/load.json")
        self.run(f"printf %s {text} >/root/targets.json")
        self.run(
            "systemd-run --unit=test-load --collect --working-directory=/root/src"
            " python3 -m tests.harness.box_load /root/targets.json /root/stop /root/load.json"
        )
        time.sleep(3)
        try:
            yield result
        finally:
            self.run("touch /root/stop")
            result.update(
                json.loads(self.wait("cat /root/load.json", "the load ended"))
            )

    def copy_out(self, inside: str, outside: Path) -> None:
        """Copy a file from the box."""
        docker("cp", f"{self.box.name}:{inside}", str(outside))

    def copy_in(self, outside: Path, inside: str) -> None:
        """Copy a file onto the box."""
        docker("cp", str(outside), f"{self.box.name}:{inside}")


def docker(*words: str, timeout_s: float = 300) -> str:
    """Run docker on this box."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=True, timeout=timeout_s
    )  # fmt: skip
    return done.stdout


__all__ = ["ADMIN", "CERTIFICATES", "HUB_NAME", "InstalledBox", "docker"]
