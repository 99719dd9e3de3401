"""A Debian box that has nothing: a container with systemd, or with a bare shell, as its first process.

It gets a clean checkout of HEAD, trusts the certificates that this box trusts, and may run a Docker engine of its own.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates,curl,git,procps,iproute2,python3,python3-venv,sudo"
#: What an engine inside the box needs; less than --privileged, which not every host allows.
CAPABILITIES = (
    "SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "MKNOD", "SETFCAP", "AUDIT_WRITE",
    "DAC_READ_SEARCH", "SYS_MODULE", "IPC_LOCK",
)  # fmt: skip
BOOT_S = 30


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    output: str
    seconds: float


@dataclass(frozen=True)
class FreshBox:
    """A running box."""

    name: str

    def run(self, command: str, *, timeout_s: float) -> Outcome:
        """Run ``command`` with a login shell in the checkout; a command that takes too long counts as failed."""
        certificates = [
            "-e",
            f"PIP_CERT={CERTIFICATES}",
            "-e",
            f"NODE_EXTRA_CA_CERTS={CERTIFICATES}",
        ]
        started = time.monotonic()
        try:
            done = subprocess.run(
                ["docker", "exec", "-w", "/root/src", *certificates, self.name, "bash", "-lc", command],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, timeout=timeout_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")
            return Outcome(
                124,
                f"{said}\nstopped after {timeout_s:g} s",
                time.monotonic() - started,
            )
        return Outcome(done.returncode, done.stdout, time.monotonic() - started)


@contextmanager
def fresh_box(suite: str, *, systemd: bool) -> Iterator[FreshBox]:
    """Boot a box, and remove it with everything in it at the end.

    Args:
        suite: Debian release, ``bookworm`` or ``trixie``.
        systemd: Whether systemd is the first process; otherwise ``sleep`` is, as on many a container host.
    """
    image = _image(suite)
    name = (
        f"mcp-host-fresh-{suite}-{'systemd' if systemd else 'plain'}-{int(time.time())}"
    )
    state = Path(tempfile.mkdtemp(prefix="mcp-host-fresh-", dir="/var/tmp"))
    try:
        _boot(image, name, state, systemd=systemd)
        _check_out(name, state)
        if systemd:
            _wait_for_systemd(name)
        yield FreshBox(name)
    finally:
        subprocess.run(["docker", "rm", "-fv", name], capture_output=True, check=False)
        shutil.rmtree(state, ignore_errors=True)


def _image(suite: str) -> str:
    image = f"mcp-host-proof/fresh-box:{suite}"
    if (
        subprocess.run(
            ["docker", "image", "inspect", image], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return image
    make = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite, "-"]
    with subprocess.Popen(
        make, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tree:
        subprocess.run(
            ["docker", "import", "-", image],
            stdin=tree.stdout,
            capture_output=True,
            check=True,
        )
    if tree.returncode:
        raise RuntimeError(f"mmdebstrap {suite} failed")
    return image


def _boot(image: str, name: str, state: Path, *, systemd: bool) -> None:
    for directory in ("docker", "containerd"):
        (state / directory).mkdir()
    first = ["/lib/systemd/systemd"] if systemd else ["sleep", "infinity"]
    command = [
        "docker", "run", "-d", "--name", name, "--hostname", "fresh-box",
        *(word for capability in CAPABILITIES for word in ("--cap-add", capability)),
        "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--cgroupns=host",
        "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
        # The engine inside wants a real file system below it.
        "-v", f"{state}/docker:/var/lib/docker", "-v", f"{state}/containerd:/var/lib/containerd",
        "--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock",
        "-v", f"{CERTIFICATES}:{CERTIFICATES}:ro",
        image, *first,
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, check=True)


def _check_out(name: str, state: Path) -> None:
    bundle = state / "src.bundle"
    subprocess.run(
        ["git", "-C", str(ROOT), "bundle", "create", str(bundle), "HEAD"],
        capture_output=True,
        check=True,
    )
    subprocess.run(
        ["docker", "cp", str(bundle), f"{name}:/root/src.bundle"],
        capture_output=True,
        check=True,
    )
    clone = [
        "git",
        "-c",
        "advice.detachedHead=false",
        "clone",
        "-q",
        "/root/src.bundle",
        "/root/src",
    ]
    subprocess.run(["docker", "exec", name, *clone], capture_output=True, check=True)


def _wait_for_systemd(name: str) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["docker", "exec", name, "systemctl", "is-system-running"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() in {"running", "degraded"}:
            return
        time.sleep(0.2)
    raise TimeoutError(f"systemd in {name} is not up after {BOOT_S} s")
