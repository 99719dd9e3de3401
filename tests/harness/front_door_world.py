"""A whole appliance behind its front door, asked through it."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from appliance.web.api import ROUTES as API
from appliance.web.pages import ROUTES as PAGES
from tests.harness.appliance import Appliance
from tests.harness.front_door import NAME, To
from tests.harness.ports import free_port

#: Header to how often it was there.
HeaderCounts = dict[str, int]


class World:
    """What is asked, and how."""

    #: What the gateway answers, for somebody without a key.
    gateway_paths = (
        "/servers/nosuch/mcp",
        "/.well-known/oauth-protected-resource/servers/nosuch/mcp",
    )

    def __init__(self, box: Appliance, http: int, https: int) -> None:
        self.box, self.http, self.https = box, http, https
        self._root = Path(box.environment["DATA_DIR"]) / "proxy/own-ca/root.pem"

    def client(self, **options: object) -> httpx.Client:
        """Return a client that reaches the front door by the hub's name and checks its certificate."""
        context = ssl.create_default_context(cafile=str(self._root))
        return httpx.Client(
            base_url=f"https://{NAME}:{self.https}",
            transport=To("127.0.0.1", verify=context),
            timeout=30,
            **options,  # type: ignore[arg-type]  # httpx' own
        )

    def headers_of_pages(self, names: tuple[str, ...]) -> dict[str, HeaderCounts]:
        """Return of every address without parameters that the router knows how often it says each header, to who may see it
        and to who may not."""
        found = {}
        for who, key in (("an administrator", self.box.api_key), ("nobody", "")):
            for path in (*paths(), "/no-such-page"):
                found[f"{path} to {who}"] = self.headers_of(path, names, key=key)
        return found

    def headers_of(
        self, path: str, names: tuple[str, ...], *, key: str = ""
    ) -> HeaderCounts:
        """Return how often an answer says each header; its body is not waited for, because it may have no end."""
        headers = {"Accept": "text/html"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        with (
            self.client() as client,
            client.stream("GET", path, headers=headers) as answer,
        ):
            return {name: len(answer.headers.get_list(name)) for name in names}

    def exchange(self, text: bytes) -> bytes:
        """Send bytes as they are, and return all that comes until the end, or until nothing comes for a second."""
        context = ssl.create_default_context(cafile=str(self._root))
        raw = socket.create_connection(("127.0.0.1", self.https), timeout=5)
        found = b""
        with context.wrap_socket(raw, server_hostname=NAME) as wire:
            wire.sendall(text)
            wire.settimeout(1)
            with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
                while piece := wire.recv(65536):
                    found += piece
        return found


def paths() -> list[str]:
    """Return every address of pages and API that is read and has no parameter."""
    definitions = [item for routes in (*PAGES, *API) for item in _definitions(routes)]
    return sorted(
        {path for method, path in definitions if method == "GET" and "{" not in path}
    )


def _definitions(routes: Any) -> Iterator[tuple[str, str]]:
    # Of pages they are the table itself, of the API a part of it.
    for item in getattr(routes, "definitions", routes):
        yield getattr(item, "method", ""), getattr(item, "path", "{")


@contextmanager
def world() -> Iterator[World]:
    """Run an appliance with a front door of its own."""
    http, https = free_port(), free_port()
    with Appliance.temporary(
        proxy_enabled="true",
        proxy_http_port=http,
        proxy_https_port=https,
        proxy_bind_addresses="127.0.0.1",
        public_url=f"https://{NAME}:{https}",
        gw_workers=1,
    ) as box:
        yield World(box, http, https)
