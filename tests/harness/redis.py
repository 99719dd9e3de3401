"""A real Redis, Debian's own, behind a password."""

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests.harness.ports import free_port

PATIENCE_S = 20.0


def own_address() -> str:
    """Return an address of this box that is not its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(("203.0.113.1", 9))  # sends nothing
        except OSError:
            return "172.17.0.1"  # the engine's
        return str(trial.getsockname()[0])


@contextlib.contextmanager
def redis_server(password: str) -> Iterator[int]:
    """Run a Redis at this box's own address, and give its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            ["redis-server", "-"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(
            f'bind {own_address()}\nport {port}\nrequirepass "{password}"\nsave ""\n'.encode()
        )
        process.stdin.close()
        try:
            _wait(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((own_address(), port)),
        ):
            return
        time.sleep(0.02)
    raise TimeoutError("redis-server does not listen")
