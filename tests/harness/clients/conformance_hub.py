"""A command for the conformance suite's scenarios for clients: has an appliance be the client, and does what its person does.

    MCP_HOST_URL=… MCP_HOST_GATEWAY=… MCP_HOST_KEY=… python -m tests.harness.clients.conformance_hub http://…/mcp

The server becomes a remote server of the appliance. Whenever a call is answered that a sign-in is needed, the person signs in,
as often as a person would; the suite's authorization servers ask nobody.
"""

import json
import os
import secrets
import sys
import time
from typing import Any

import httpx

#: A person who was sent to sign in so often in vain gives up.
SIGN_INS = 3
SETTLED_WITHIN_S = 20.0
_SETTLED = {"running", "error", "degraded"}
_EVENTS = "application/json, text/event-stream"


class GivenUpError(Exception):
    """It does not work."""


class Hub:
    """The appliance, as its person sees it."""

    def __init__(self) -> None:
        self._key = os.environ["MCP_HOST_KEY"]
        headers = {"Authorization": f"Bearer {self._key}"}
        if name := os.environ.get("MCP_HOST_AS"):
            headers |= {"X-Forwarded-Host": name, "X-Forwarded-Proto": "https"}
        self._api = httpx.Client(
            base_url=os.environ["MCP_HOST_URL"], headers=headers, timeout=30
        )
        self._gateway = os.environ["MCP_HOST_GATEWAY"]
        self.name = f"suite-{secrets.token_hex(4)}"

    def host(self, url: str) -> None:
        """Bring the server, and wait until it is known what it wants."""
        body = {"name": self.name, "remote_url": url, "transport": "streamable-http"}
        self._api.post("/api/servers", json=body).raise_for_status()
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < deadline:
            view = self._api.get(f"/api/servers/{self.name}").json()
            if view["status"] in _SETTLED:
                say(f"{view['status']}: {view['status_reason']}")
                return
            time.sleep(0.1)
        raise GivenUpError("the server does not settle")

    def give_client(self, context: dict[str, Any]) -> None:
        """Say with which client to sign in, where the suite has one."""
        if "client_id" not in context:
            return
        body = {
            "client_id": context["client_id"],
            "client_secret": context.get("client_secret"),
        }
        answer = self._api.put(f"/api/servers/{self.name}/account/client", json=body)
        answer.raise_for_status()

    def sign_in(self) -> None:
        """Go to the authorization server and back; nobody reads what they were told and clicks in less than half a second."""
        time.sleep(0.5)
        begun = self._api.post(f"/api/servers/{self.name}/account/connect")
        if begun.is_error:
            raise GivenUpError(begun.text)
        there = httpx.get(begun.json()["authorization_url"], timeout=30)
        back = there.headers.get("Location")
        if back is None:
            raise GivenUpError(f"not sent back: {there.status_code} {there.text[:200]}")
        done = self._api.post("/api/connections/finish", json={"callback_url": back})
        if done.is_error:
            raise GivenUpError(done.text)

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request; signs in where that is needed, and asks again."""
        for _ in range(SIGN_INS + 1):
            answer = self._ask(method, params)
            error = answer.get("error") or {}
            if (error.get("data") or {}).get("code") not in {
                "signin_needed",
                "upstream_unauthorized",
            }:
                return answer
            say(f"{method}: {error['message']}")
            self.sign_in()
        raise GivenUpError("signed in often enough")

    def leave(self) -> None:
        """Delete the server."""
        self._api.delete(f"/api/servers/{self.name}")
        self._api.close()

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Accept": _EVENTS,
            "MCP-Protocol-Version": "2025-11-25",
        }
        answer = httpx.post(
            f"{self._gateway}/servers/{self.name}/mcp",
            json=message,
            headers=headers,
            timeout=30,
        )
        text = answer.text
        if answer.headers["Content-Type"].startswith("text/event-stream"):
            text = [line for line in text.splitlines() if line.startswith("data:")][-1]
            text = text.removeprefix("data:")
        found: dict[str, Any] = json.loads(text)
        return found


def say(text: str) -> None:
    """Tell whoever reads the suite's report."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Be the client; return the exit status."""
    hub = Hub()
    try:
        hub.host(sys.argv[1])
        hub.give_client(json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")))
        listed = hub.call("tools/list", {})
        for tool in listed.get("result", {}).get("tools", [])[:1]:
            called = hub.call("tools/call", {"name": tool["name"], "arguments": {}})
            say(json.dumps(called))
    except (GivenUpError, httpx.HTTPError) as error:
        say(f"given up: {error}")
        return 1
    finally:
        hub.leave()
    return 0 if "result" in listed else 1


if __name__ == "__main__":
    sys.exit(main())
