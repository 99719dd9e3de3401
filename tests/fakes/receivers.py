"""Those who are told: a program that takes calls, and a mail server."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer


class Program:
    """A program that is told things, and answers as it was told to."""

    def __init__(self) -> None:
        self.answers = [200]
        self.heard: list[tuple[dict[str, str], bytes]] = []
        #: Cleared: it hears, and does not answer.
        self.answers_now = asyncio.Event()
        self.answers_now.set()
        self.app = web.Application()
        self.app.router.add_post("/hook", self._hear)
        self.server = TestServer(self.app)

    async def _hear(self, request: web.Request) -> web.Response:
        self.heard.append((dict(request.headers), await request.read()))
        await self.answers_now.wait()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))


class MailServer:
    """A small SMTP server on a real socket."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            word = line.split()[0].upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                mail = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(mail.removesuffix(b".\r\n"))
            if b"NOBODY@" in line.upper():
                writer.write(b"550 no such person\r\n")
            elif word == b"QUIT":
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()
