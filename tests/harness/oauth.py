"""A client of the authorization server, written by hand so that it can do everything wrong."""

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from appliance.oauth.pkce import challenge_of
from tests.harness.pages import Hub

GATEWAY = "http://127.0.0.1:4444"
CALLBACK = "https://client.example.org/callback"


@dataclass
class Client:
    """A client that knows its id."""

    hub: Hub
    client_id: str
    redirect_uri: str = CALLBACK
    secret: str = ""
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = "a state & more"

    def request(self, **changed: str | None) -> dict[str, str]:
        """Return a request for authorization; ``None`` leaves a parameter out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "mcp:read mcp:call",
            "state": self.state,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            "resource": f"{GATEWAY}/servers/clock/mcp",
            **changed,
        }
        return {name: value for name, value in asked.items() if value is not None}

    async def authorize(self, **changed: str | None) -> aiohttp.ClientResponse:
        """Send the browser to the authorization endpoint."""
        return await self.hub.client.get(
            "/oauth/authorize",
            params=self.request(**changed),
            headers={"Accept": "text/html"},
            allow_redirects=False,
        )

    async def decide(self, **changed: str | None) -> aiohttp.ClientResponse:
        """Say yes on the consent page."""
        form = self.request(decision="allow", **changed)
        return await self.hub.post("/oauth/consent", **form)

    async def deny(self, **changed: str | None) -> aiohttp.ClientResponse:
        """Say no."""
        form = self.request(decision="deny", **changed)
        return await self.hub.post("/oauth/consent", **form)

    async def code(self, **changed: str | None) -> str:
        """Return a code that a person allowed."""
        response = await self.decide(**changed)
        assert response.status == 303, await response.text()
        return answer_of(response)["code"]

    async def token(self, **fields: str) -> tuple[int, dict[str, Any]]:
        """Ask the token endpoint for something; return status and answer."""
        form = {"client_id": self.client_id, **fields}
        if self.secret:
            form["client_secret"] = self.secret
        response = await self.hub.client.post("/oauth/token", data=form)
        return response.status, await response.json()

    async def redeem(self, code: str, **changed: str) -> tuple[int, dict[str, Any]]:
        """Redeem a code."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            **changed,
        }
        return await self.token(**fields)

    async def tokens(self, **changed: str | None) -> dict[str, Any]:
        """Return tokens, all the way."""
        status, found = await self.redeem(await self.code(**changed))
        assert status == 200, found
        return found

    async def refresh(
        self, refresh_token: str, **changed: str
    ) -> tuple[int, dict[str, Any]]:
        """Use a refresh token."""
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            **changed,
        }
        return await self.token(**fields)


def answer_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return what a redirect tells the client."""
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query))


async def register(hub: Hub, **metadata: Any) -> Client:
    """Return a client that registered itself; a public one unless ``metadata`` says otherwise."""
    wanted = {
        "client_name": "Test client",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        **metadata,
    }
    response = await hub.client.post("/oauth/register", json=wanted)
    found = await response.json()
    assert response.status == 201, found
    return Client(
        hub,
        found["client_id"],
        found["redirect_uris"][0],
        found.get("client_secret", ""),
    )


@dataclass
class Documents:
    """A web server over TLS with documents of clients."""

    url: str
    host: str
    #: Path to what is answered there.
    served: dict[str, web.Response | dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, **document: Any) -> str:
        """Serve a client's document; return the client's id."""
        client_id = f"{self.url}{path}"
        self.served[path] = {
            "client_id": client_id,
            "client_name": "Document client",
            "redirect_uris": [CALLBACK],
            **document,
        }
        return client_id

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with what is served."""
        self.asked.append(request.path)
        found = self.served.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        return found if isinstance(found, web.Response) else web.json_response(found)


def certificate(directory: Path) -> Path:
    """Write a certificate of its own authority for localhost, with its key; return the file."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = directory / "localhost.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return path


@asynccontextmanager
async def documents(pem: Path, port: int = 0) -> AsyncIterator[Documents]:
    """Serve documents on localhost until left."""
    served = Documents("", "")
    app = web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    bound = runner.addresses[0][1]
    served.url, served.host = f"https://localhost:{bound}", f"localhost:{bound}"
    yield served
    await runner.cleanup()
