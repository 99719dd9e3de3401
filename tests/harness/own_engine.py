"""A container engine of a proof's own, beside the box's: one that may be stopped, killed and started."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BRIDGE = "mcpproof0"
ADDRESS = "10.221.0.1/24"
START_S = 60.0


class OwnEngine:
    """A ``dockerd`` with a socket, a bridge and directories of its own. It leaves the firewall alone."""

    def __init__(self, home: Path) -> None:
        self.host = f"unix://{home}/docker.sock"
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        home = self._home
        (home / "docker.pid").unlink(missing_ok=True)
        # Two engines on one box fight over docker0, and each takes the other's firewall rules for its own.
        command = ["dockerd", f"--host={self.host}", f"--bridge={BRIDGE}"]
        command += ["--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        command += [f"--data-root={home / 'data'}", f"--exec-root={home / 'exec'}"]
        command += [f"--pidfile={home / 'docker.pid'}"]
        with (home / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((home / "dockerd.log").read_text()[-3000:])
            time.sleep(0.2)

    def _answers(self) -> bool:
        asking = subprocess.run(
            ["docker", "version"],
            env=self._environment(),
            capture_output=True,
            check=False,
        )
        return asking.returncode == 0

    def stop(self) -> None:
        """Tell it to terminate; it ends its containers first."""
        assert self._process
        self._process.terminate()
        self._process.wait(60)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out, its ``containerd`` too; the containers go on without them."""
        assert self._process
        self._process.kill()
        self._process.wait()
        pid_file = self._home / "exec" / "containerd" / "containerd.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        pid_file.unlink(missing_ok=True)

    def docker(self, *arguments: str) -> str:
        """Run the docker command against it and return what it printed."""
        done = subprocess.run(
            ["docker", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def take_over(self, image: str) -> None:
        """Copy an image of the box's engine; nothing can be fetched here, because nobody forwards what this bridge sends."""
        with subprocess.Popen(
            ["docker", "save", image], stdout=subprocess.PIPE
        ) as saving:
            subprocess.run(
                ["docker", "load", "--quiet"],
                env=self._environment(),
                stdin=saving.stdout,
                check=True,
                capture_output=True,
            )

    def _environment(self) -> dict[str, str]:
        return os.environ | {"DOCKER_HOST": self.host}


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Run an engine, and leave nothing of it."""
    home = Path(tempfile.mkdtemp(prefix="mcp-host-engine-", dir="/var/tmp"))
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", ADDRESS, "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    engine = OwnEngine(home)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        _ip("link", "delete", BRIDGE)
        _unmount(home)
        shutil.rmtree(home, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _unmount(home: Path) -> None:
    """Take away what a killed engine left mounted, the innermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{home}/"):
            subprocess.run(["umount", "-l", point], check=False)
