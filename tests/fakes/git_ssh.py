"""A git server behind a real ``sshd``, which lets one key in."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from tests.harness.ports import free_port

START_S = 10.0


@dataclass(frozen=True)
class SshServer:
    """A running one."""

    port: int
    #: The private key that it lets in.
    key: str

    def url(self, repository: Path) -> str:
        """Return the address of a repository on this box."""
        return f"ssh://{getuser()}@127.0.0.1:{self.port}{repository}"


def new_key(path: Path) -> str:
    """Make a key without a passphrase, and return the private part."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.read_text()


@contextmanager
def ssh_server(home: Path, *, port: int = 0) -> Iterator[SshServer]:
    """Run ``sshd`` on loopback with keys of its own in ``home``."""
    home.mkdir()
    key = new_key(home / "deploy")
    new_key(home / "host")
    chosen = port or free_port()
    options = {
        "Port": chosen,
        "ListenAddress": "127.0.0.1",
        "HostKey": home / "host",
        "AuthorizedKeysFile": home / "deploy.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
    }
    config = home / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    # It gives up its rights in this directory, which its packages make at boot.
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-f", str(config)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait(chosen)
            yield SshServer(chosen, key)
        finally:
            server.terminate()


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
