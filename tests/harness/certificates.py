"""A keeper of certificates without the rest of the front door: what is wished for is a list, and port 80 a small server."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.certificates import store
from appliance.certificates.keeper import Keeper
from appliance.certificates.model import Certificate, Standing, Status, Wish
from appliance.certificates.shelf import OnShelf, Shelf
from appliance.core.front_door import CHALLENGES, certificate_file
from appliance.infra.database import Database
from appliance.infra.handed_files import Reader
from appliance.settings import Settings, load_settings
from tests.harness.pebble import Pebble
from tests.harness.waiting import until

SECRET = "certificates-" + "x" * 40


def settings_of(data_dir: Path, ca: Pebble, **words: Any) -> Settings:
    """Return settings of a box that orders at ``ca``."""
    return load_settings(
        **{
            "jwt_secret": SECRET,
            "data_dir": data_dir,
            "proxy_enabled": True,
            "acme_email": "ops@example.org",
            "acme_directory_url": ca.directory_url,
            "acme_ca_file": ca.ca_file,
            "acme_dns_wait_seconds": 0,
            **words,
        }
    )


class Box:
    """One keeper, and what it was told to want."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.wishes: list[Wish] = []
        self.told: dict[str, Standing] = {}
        self.shelf = Shelf(settings.proxy_dir, Reader())
        self._running: asyncio.Task[None] | None = None
        self.keeper = self._made()

    def _made(self) -> Keeper:
        return Keeper(
            self.database,
            self.settings,
            reader=Reader(),
            wanted=lambda: list(self.wishes),
            tell=self.told.__setitem__,
            changed=lambda: None,
        )

    async def want(self, *hosts: str, **words: Any) -> None:
        """Wish for ``hosts``, and for nothing else."""
        self.wishes = [Wish(host, **words) for host in hosts]
        await self.database.run(self._notify)

    def _notify(self) -> None:
        self.database.peewee.execute_sql("NOTIFY certificates")

    def start(self) -> None:
        """Let the keeper keep."""
        self.keeper = self._made()
        self._running = asyncio.create_task(self.keeper.run())

    async def stop(self) -> None:
        """Let nothing happen any more."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None

    async def certificate(self, name: str) -> Certificate | None:
        """Return the newest certificate for ``name``."""
        found = await self.database.run(store.all_certificates)
        return next((item for item in reversed(found) if name in item.names), None)

    async def reaches(self, name: str, status: Status) -> Certificate:
        """Wait until the certificate for ``name`` is ``status``, and return it."""
        found: list[Certificate] = []

        async def is_there() -> bool:
            item = await self.certificate(name)
            if item is not None:
                found[:] = [item]
            return item is not None and item.status is status

        try:
            await until(is_there)
        except TimeoutError as error:
            raise AssertionError(f"{name} is {found}, not {status}") from error
        return found[0]

    async def look(self, host: str) -> OnShelf | None:
        """Return what is served for ``host`` now."""
        return await asyncio.to_thread(self.shelf.look, host)

    async def lies(self, host: str, issuer: str) -> OnShelf:
        """Wait until what is served for ``host`` is by an issuer of that name, and return it."""

        found: list[OnShelf] = []

        async def is_there() -> bool:
            lying = await self.look(host)
            if lying is None or issuer not in lying.issuer:
                return False
            found.append(lying)
            return True

        try:
            await until(is_there)
        except TimeoutError as error:
            raise AssertionError(f"{host}: {await self.look(host)}") from error
        return found[0]

    async def loads(self, host: str) -> None:
        """Have OpenSSL read what lies there, as Nginx does."""
        path = certificate_file(self.settings.proxy_dir, host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        await asyncio.to_thread(context.load_cert_chain, path)


@contextlib.asynccontextmanager
async def port_80(ca: Pebble, settings: Settings) -> AsyncIterator[None]:
    """Answer http-01 from the files, where ``ca`` asks; in Nginx's place."""

    async def answer(request: web.Request) -> web.Response:
        path = settings.proxy_dir / CHALLENGES / request.match_info["token"]
        text = await asyncio.to_thread(lambda: path.read_text() if path.is_file() else None)  # fmt: skip
        return web.Response(status=404) if text is None else web.Response(text=text)

    app = web.Application()
    app.router.add_get("/.well-known/acme-challenge/{token}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", ca.http_port).start()
    try:
        yield
    finally:
        await runner.cleanup()
