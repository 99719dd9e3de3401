"""An OpenID Connect provider made for the tests: it says whatever it is told to say, true or not."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.homemade_issuer import HomemadeIssuer

CLIENT = "mcp-host"
SECRET = "not a secret: of a test"


@dataclass
class HomemadeProvider:
    """A provider without a sign-in page: a test is the browser, and makes up the way back."""

    signer: HomemadeIssuer
    #: Of whoever comes.
    claims: dict[str, Any] = field(default_factory=dict)
    #: What the userinfo endpoint tells.
    told: dict[str, Any] = field(default_factory=dict)
    #: Put over its metadata.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: Makes the ID token of a code; ``None``: a good one.
    make: Callable[[dict[str, Any]], str] | None = None
    #: The nonce that a code belongs to.
    nonces: dict[str, str] = field(default_factory=dict)
    #: Forms that came to the token endpoint, with the header that showed the client.
    asked: list[dict[str, str]] = field(default_factory=list)
    keys_read: int = 0
    is_away: bool = False

    @property
    def url(self) -> str:
        return self.signer.issuer

    def person(self, subject: str, *groups: str, **claims: Any) -> None:
        """Say who comes next."""
        self.claims = {
            "sub": subject,
            "email": f"{subject}@example.org",
            "email_verified": True,
            "groups": list(groups),
            **claims,
        }

    def code(self, nonce: str) -> str:
        """Return a code for an authorization request, as if the person had signed in."""
        code = f"code-{len(self.nonces)}"
        self.nonces[code] = nonce
        return code

    def token(self, claims: dict[str, Any]) -> str:
        """Return a good ID token."""
        left_out = dict.fromkeys(("gid", "scope", "client_id"))
        return self.signer.token(CLIENT, {"typ": "JWT"}, **left_out, **claims)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if self.is_away:
            return web.Response(status=503, text="closed")
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self._metadata())
        if request.path == "/keys":
            self.keys_read += 1
            return web.json_response({"keys": [self.signer.jwk]})
        if request.path == "/userinfo":
            return web.json_response(self.told)
        return await self._token(request)

    def _metadata(self) -> dict[str, Any]:
        url = self.signer.issuer
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "userinfo_endpoint": f"{url}/userinfo",
            "jwks_uri": f"{url}/keys",
            "end_session_endpoint": f"{url}/logout",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(
            {**form, "authorization": request.headers.get("Authorization", "")}
        )
        nonce = self.nonces.pop(form["code"], None)
        if nonce is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = {"nonce": nonce, **self.claims}
        made = (self.make or self.token)(claims)
        return web.json_response({"id_token": made, "access_token": "a", "token_type": "Bearer"})  # fmt: skip


@asynccontextmanager
async def homemade_provider() -> AsyncIterator[HomemadeProvider]:
    """Serve a provider on a port of its own."""
    provider = HomemadeProvider(HomemadeIssuer("", "RS256"))
    runner = web.ServerRunner(web.Server(provider.answer))  # type: ignore[arg-type]  # it answers with a response
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.signer.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
