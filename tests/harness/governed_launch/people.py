"""People with API keys of their own at one appliance."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from tests.harness.appliance import Appliance


@dataclass(frozen=True)
class Someone:
    """Somebody who may sign in, and a key of theirs."""

    email: str
    password: str
    key: str
    _client: httpx.Client

    @classmethod
    def new(cls, appliance: Appliance, name: str, *, admin: bool = False) -> "Someone":
        """Add a person to an appliance."""
        email, password = f"{name}@example.org", secrets.token_urlsafe(16)
        appliance.command(
            "user",
            "create",
            *(["--admin"] if admin else []),
            "--email",
            email,
            "--password-stdin",
            stdin=f"{password}\n",
        )
        with httpx.Client(base_url=appliance.url, timeout=30) as window:
            login = window.post(
                "/api/login", json={"email": email, "password": password}
            )
            token = login.raise_for_status().json()["csrf_token"]
            made = window.post(
                "/api/keys", json={"name": "launch"}, headers={"X-CSRF-Token": token}
            )
            key = made.raise_for_status().json()["key"]
        headers = {"Authorization": f"Bearer {key}"}
        client = httpx.Client(base_url=appliance.url, timeout=30, headers=headers)
        return cls(email, password, key, client)

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """Ask the REST API, whatever it answers."""
        return self._client.request(method, path, json=body)

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the REST API and return the answer's JSON; a refusal fails."""
        answer = self.ask(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Hang up."""
        self._client.close()
