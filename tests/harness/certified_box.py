"""A box with a front door as it really runs, Nginx and controller as processes, and the API that tells of certificates."""

import asyncio
import hashlib
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.infra import migrations
from appliance.infra.database import Database, connect, connection_arguments
from appliance.web.app import make_app
from tests.functional.hub import Hub, services_for
from tests.harness.front_door import ROOT, FrontDoor

MIGRATIONS = ROOT / "migrations"
HUB = "hub.test"


class CertifiedBox:
    """Nginx, the controller, and the hub's API over one database."""

    def __init__(self, home: Path, url: str, **settings: Any) -> None:
        self.door = FrontDoor(
            home,
            **{
                "database_url": url,
                "public_url": f"https://{HUB}",
                "acme_email": "ops@example.org",
                "acme_dns_wait_seconds": 0,
                **settings,
            },
        )
        self.database = Database(url, size=4)
        self.log = home / "proxy.log"
        self.proxy: subprocess.Popen[bytes] | None = None
        self.api: Any = None

    def start_proxy(self, **environment: str) -> None:
        """Start the controller."""
        with self.log.open("ab") as log:
            self.proxy = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance", "proxy"],
                cwd=ROOT,
                env={**self.door.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def stop_proxy(self, how: int = signal.SIGTERM) -> None:
        """End the controller, by SIGKILL as a power cut would."""
        if self.proxy is not None:
            self.proxy.send_signal(how)
            self.proxy.wait(20)
            self.proxy = None

    async def listed(self) -> list[dict[str, Any]]:
        """Return what the API lists."""
        answer = await self.api.get("/api/certificates?limit=200")
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items

    async def one(self, name: str) -> dict[str, Any]:
        """Return what the API tells of the certificate for ``name``."""
        found = next((item for item in await self.listed() if name in item["names"]), None)  # fmt: skip
        if found is None:
            return {"status": "none", "error_kind": ""}
        answer = await self.api.get(f"/api/certificates/{found['id']}")
        told: dict[str, Any] = await answer.json()
        return told

    async def order(self, *names: str) -> dict[str, Any]:
        """Have one certificate ordered by the API."""
        answer = await self.api.post("/api/certificates", json={"names": list(names)})
        told: dict[str, Any] = await answer.json()
        assert answer.status == 202, told
        return told

    async def renew(self, name: str) -> None:
        """Have the certificate for ``name`` ordered now."""
        number = (await self.one(name))["id"]
        answer = await self.api.post(f"/api/certificates/{number}/renew")
        assert answer.status == 202, await answer.text()

    async def comes(
        self, name: str, is_so: Callable[[dict[str, Any]], bool], patience_s: float = 40
    ) -> dict[str, Any]:
        """Return what the API tells of ``name`` once it is so."""
        told: dict[str, Any] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    told = await self.one(name)
                    if is_so(told):
                        return told
                    await asyncio.sleep(0.05)
        raise AssertionError(f"{name}: {told}")

    def shown(self, name: str) -> x509.Certificate | None:
        """Return what a visitor of ``name`` is shown; ``None``: no handshake."""
        try:
            return x509.load_der_x509_certificate(self.door.certificate(name))
        except (OSError, ssl.SSLError, AssertionError):
            return None

    def fingerprint(self, name: str) -> str:
        """Return the fingerprint of what a visitor of ``name`` is shown."""
        found = self.shown(name)
        der = found.public_bytes(Encoding.DER) if found else b""
        return hashlib.sha256(der).hexdigest()

    async def __aenter__(self) -> Self:
        """Migrate, start the API, Nginx and the controller."""
        url = self.door.environment["DATABASE_URL"]
        with closing(connect(connection_arguments(url))) as connection:
            await asyncio.to_thread(migrations.migrate, connection, MIGRATIONS)
        self._session = aiohttp.ClientSession()
        services = await asyncio.to_thread(
            services_for, self.database, self._session, self.door.settings
        )
        server = TestServer(make_app(services))
        await server.start_server()
        self._hub = Hub(self.database, services, server)
        self.api = await self._hub.client(await self._hub.person("admin@example.org"))
        await asyncio.to_thread(self.door.start)
        self.start_proxy()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all of it."""
        await asyncio.to_thread(self.stop_proxy)
        await asyncio.to_thread(self.door.stop)
        await self._hub.close()
        await self._session.close()
        self.database.close()


class Visitor:
    """Comes to one name again and again, and counts what a person would have been warned of."""

    def __init__(self, box: CertifiedBox, name: str, root: str) -> None:
        self._box, self._name = box, name
        self._trusted = ssl.create_default_context(cadata=root)
        self.visits = 0
        self.warned: list[str] = []

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[Self]:
        """Come ten times a second inside the block."""
        task = asyncio.create_task(self._come())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _come(self) -> None:
        while True:
            self.visits += 1
            try:
                await asyncio.to_thread(self._visit)
            except (OSError, ssl.SSLError) as error:
                self.warned.append(str(error))
            await asyncio.sleep(0.1)

    def _visit(self) -> None:
        self._box.door.handshake(self._name, self._trusted).close()
