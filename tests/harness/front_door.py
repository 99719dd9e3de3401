"""A front door as it really runs: ``mcp-host nginx`` before whatever a test puts behind it."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from appliance.proxy import nginx
from appliance.proxy.model import Places
from appliance.proxy.plan import places_of
from appliance.settings import Settings, load_settings
from tests.harness.ports import free_port

ROOT = Path(__file__).parent.parent.parent
SECRET = "front-door-" + "s" * 40
NAME = "mcp.example.org"
READY_S = 20


class FrontDoor:
    """One Nginx, with directories and ports of its own.

    Args:
        home: Short, because sockets lie below; who is not root must be able to pass.
        settings: More settings, such as ``bind_port`` of the hub behind.
    """

    def __init__(self, home: Path, **settings: Any) -> None:
        chosen = {
            "jwt_secret": SECRET,
            "data_dir": home / "data",
            "run_dir": home / "run",
            "proxy_enabled": True,
            "proxy_http_port": free_port(),
            "proxy_https_port": free_port(),
            "proxy_bind_addresses": "127.0.0.1",
            "public_url": f"https://{NAME}",
        } | settings
        self.settings: Settings = load_settings(**chosen)
        self.environment = {
            "PATH": os.environ["PATH"],
            **{key.upper(): str(value) for key, value in chosen.items()},
        }
        self.places: Places = places_of(self.settings)
        self.http = self.settings.proxy_http_port
        self.https = self.settings.proxy_https_port
        self.log = home / "nginx.log"
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance", "nginx"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + READY_S
        assert self.process is not None
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        # Workers of one that was killed would answer, too.
        found = asyncio.run(nginx.answering(self.places))
        return found is not None and found.worker in nginx.workers(self.places)

    def stop(self) -> int:
        """Stop it as supervisord does, and return its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGQUIT)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait(10)

    @property
    def root(self) -> Path:
        """The certificate that clients of the own CA trust."""
        return self.settings.proxy_dir / "own-ca" / "root.pem"

    def trusting(self, *, http2: bool = False) -> ssl.SSLContext:
        """Return how a client checks this door's certificates."""
        context = ssl.create_default_context(cafile=str(self.root))
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
        return context

    def client(self, name: str = NAME, **options: Any) -> httpx.AsyncClient:
        """Return a client that reaches the door as ``name`` and checks its certificate."""
        return httpx.AsyncClient(
            base_url=f"https://{name}:{self.https}",
            transport=_ToAsync("127.0.0.1", verify=self.trusting()),
            **options,
        )

    def handshake(
        self, asked: str | bytes | None, context: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        """Return a connection for which a client asked for a name, which may be anything; nothing is checked."""
        chosen = context or _careless()
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=10)
        try:
            return chosen.wrap_socket(raw, server_hostname=asked)
        except BaseException:
            raw.close()
            raise

    def certificate(self, asked: str | bytes | None) -> bytes:
        """Return the certificate (DER) that whoever asks for a name is shown."""
        with closing(self.handshake(asked)) as found:
            shown = found.getpeercert(binary_form=True)
        assert shown
        return shown

    def shown_to_openssl(self, asked: str) -> bytes | None:
        """Return the certificate (DER) that OpenSSL's client is shown, which asks for anything; ``None``: there was none."""
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{self.https}"),
                *("-servername", asked),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=20,
        )
        begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
        _, found, rest = done.stdout.partition(begin)
        if not found:
            return None
        return ssl.PEM_cert_to_DER_cert((begin + rest.partition(end)[0] + end).decode())


class To(httpx.HTTPTransport):
    """Connects to one address, whatever the name."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(**options)
        self._address = address

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = request.url.host
        request.url = request.url.copy_with(host=self._address)
        return super().handle_request(request)


class _ToAsync(httpx.AsyncHTTPTransport):
    """Connects to one address, whatever the name."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(**options)
        self._address = address

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = request.url.host
        request.url = request.url.copy_with(host=self._address)
        return await super().handle_async_request(request)


def _careless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def front_door(home: Path, **settings: Any) -> Iterator[FrontDoor]:
    """Run a front door."""
    door = FrontDoor(home, **settings)
    try:
        door.start()
        yield door
    finally:
        door.stop()
