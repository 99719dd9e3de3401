"""Stands in for Vault: speaks as much of its KV version 2, token and AppRole API as we use. It is not Vault.

No Vault can be had where these tests run. What it answers follows Vault's own API documentation: the shapes of answers, 403
for tokens that it does not know, 404 with or without data for what was deleted, 503 while it is sealed.
"""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ROLE, SECRET_ID = "role-of-the-hub", "secret-id-of-the-hub"


@dataclass
class VaultStandIn:
    """One Vault, in memory."""

    #: Token to the moment of its end (``time.monotonic()``); ``None``: never.
    tokens: dict[str, float | None] = field(default_factory=dict)
    #: Path to the values of its versions, the first one first.
    values: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    is_sealed: bool = False
    #: Seconds that a token by AppRole lives, and one is renewed for.
    life_s: float = 3600
    logins: int = 0
    renewals: int = 0
    #: Every path asked for.
    asked: list[str] = field(default_factory=list)

    def application(self) -> web.Application:
        """Return what answers its API."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.post("/v1/secret/data/{path:.+}", self._write),
                web.get("/v1/secret/data/{path:.+}", self._read),
                web.delete("/v1/secret/metadata/{path:.+}", self._delete),
                web.post("/v1/auth/approle/login", self._login),
                web.get("/v1/auth/token/lookup-self", self._look_up),
                web.post("/v1/auth/token/renew-self", self._renew),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.is_sealed:
            return _errors(503, "Vault is sealed")
        if request.path != "/v1/auth/approle/login":
            token = request.headers.get("X-Vault-Token", "")
            ends_at = self.tokens.get(token, 0.0)
            if ends_at is not None and ends_at < time.monotonic():
                return _errors(403, "permission denied")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _write(self, request: web.Request) -> web.Response:
        data = (await request.json())["data"]
        versions = self.values.setdefault(request.match_info["path"], [])
        versions.append(data)
        return web.json_response({"data": {"version": len(versions)}})

    async def _read(self, request: web.Request) -> web.Response:
        versions = self.values.get(request.match_info["path"], [])
        number = int(request.query.get("version", len(versions)) or len(versions))
        if not 1 <= number <= len(versions):
            return web.json_response({"errors": []}, status=404)
        data = versions[number - 1]
        body = {"data": {"data": data, "metadata": {"version": number}}}
        return web.json_response(body, status=200 if data else 404)

    async def _delete(self, request: web.Request) -> web.Response:
        self.values.pop(request.match_info["path"], None)
        return web.Response(status=204)

    async def _login(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (body.get("role_id"), body.get("secret_id")) != (ROLE, SECRET_ID):
            return _errors(400, "invalid role or secret ID")
        self.logins += 1
        token = f"hvs.{secrets.token_hex(8)}"
        self.tokens[token] = time.monotonic() + self.life_s
        return web.json_response({"auth": self._auth(token)})

    async def _look_up(self, request: web.Request) -> web.Response:
        ends_at = self.tokens[request.headers["X-Vault-Token"]]
        ttl = 0 if ends_at is None else int(ends_at - time.monotonic())
        return web.json_response(
            {"data": {"ttl": ttl, "renewable": ends_at is not None}}
        )

    async def _renew(self, request: web.Request) -> web.Response:
        self.renewals += 1
        token = request.headers["X-Vault-Token"]
        self.tokens[token] = time.monotonic() + self.life_s
        return web.json_response({"auth": self._auth(token)})

    def _auth(self, token: str) -> dict[str, Any]:
        return {
            "client_token": token,
            "lease_duration": int(self.life_s),
            "renewable": True,
        }


def _errors(status: int, text: str) -> web.Response:
    return web.json_response({"errors": [text]}, status=status)
