"""What hands out tokens for a registry: sixty lines of HTTP, signing RS256 with a key that the registry trusts."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


@dataclass
class TokenServer:
    """A running token server; its fields may be changed while it runs."""

    realm: str
    certificate: Path
    username: str
    password: str
    #: Seconds that a token lives.
    life_s: int
    service: str = "test-registry"
    issuer: str = "test-issuer"
    #: Statuses to answer the next requests with, instead of a token.
    refusals: list[int] = field(default_factory=list)
    #: The scopes of every token that was given.
    given: list[list[str]] = field(default_factory=list)
    #: Whether it tells how long a token lives.
    tells_life: bool = True


@contextmanager
def token_server(
    home: Path, username: str, password: str, *, life_s: int
) -> Iterator[TokenServer]:
    """Run a token server on a port of its own; its certificate is below ``home``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _self_signed(key)
    path = home / "tokens.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if running.refusals:
                self._answer(running.refusals.pop(0), {})
            elif self._who() is None:
                self._answer(401, {})
            else:
                query = parse_qs(urlsplit(self.path).query)
                scopes = [s for item in query.get("scope", []) for s in item.split()]
                running.given.append(scopes)
                self._answer(200, self._token(scopes))

        def _who(self) -> str | None:
            pair = f"{running.username}:{running.password}".encode()
            wanted = f"Basic {base64.b64encode(pair).decode()}"
            given = self.headers.get("Authorization") or ""
            return username if secrets.compare_digest(given, wanted) else None

        def _token(self, scopes: list[str]) -> dict[str, object]:
            claims = {
                "iss": running.issuer,
                "sub": username,
                "aud": running.service,
                "exp": int(time.time()) + running.life_s,
                "nbf": int(time.time()) - 5,
                "iat": int(time.time()),
                "jti": secrets.token_hex(8),
                "access": [_access(scope) for scope in scopes],
            }
            token = jwt.encode(
                claims, key, algorithm="RS256", headers={"x5c": [chain.decode()]}
            )
            life = {"expires_in": running.life_s} if running.tells_life else {}
            return {"token": token, **life}

        def _answer(self, status: int, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    realm = f"http://127.0.0.1:{server.server_port}/token"
    running = TokenServer(realm, path, username, password, life_s)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _access(scope: str) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-issuer")])
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
