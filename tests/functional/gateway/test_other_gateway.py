"""A hub that uses a gateway which another box started: MCP_GATEWAY_URL with GATEWAY_SKIP_START."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.fakes.mcp_box import SECRET, Box, wait_until
from tests.harness.ports import free_port

Answer = tuple[int, Any]


class OtherHub:
    """A hub with a configuration of its own, as ``mcp-host serve`` runs it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = {
            "PATH": os.environ["PATH"],
            "BIND_ADDRESS": "127.0.0.1",
            "BIND_PORT": self.url.rpartition(":")[2],
            "GATEWAY_SKIP_START": "1",
            "DATA_DIR": str(home / "data"),
            "RUN_DIR": str(home / "run"),
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        (home / "data").mkdir()
        self.log = home / "hub.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", sys.executable, "-P", "-m", "appliance", "serve"],
                cwd=home, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.key = ""

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, headers, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def gateway(self) -> dict[str, str]:
        """What readyz says of the gateway."""
        _, report = self.ask("GET", "/readyz")
        return next(part for part in report["parts"] if part["name"] == "gateway")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def other_hub(**settings: Any) -> Iterator[OtherHub]:
    with tempfile.TemporaryDirectory(prefix="hub-", dir="/var/tmp") as home:
        hub = OtherHub(Path(home), **settings)
        try:
            wait_until(
                lambda: hub.ask("GET", "/healthz")[0] == 200, "the hub is there",
                within_s=40,
            )  # fmt: skip
            yield hub
        finally:
            hub.stop()


@pytest.fixture
def gateway(make_box: Callable[..., Box]) -> Box:
    """A gateway that runs, with no hub."""
    return make_box(remote_allow_private=True)


def test_a_hub_hosts_and_calls_servers_through_a_gateway_of_another_configuration(
    gateway: Box, web_server: str
) -> None:
    with other_hub(
        jwt_secret=SECRET,
        database_url=gateway.database_url,
        mcp_gateway_url=f"{gateway.url}/",
        remote_allow_private="true",
    ) as hub:
        person = {"email": "ada@example.org", "password": secrets.token_urlsafe()}
        hub.ask("POST", "/api/register", person)
        hub.key = _api_key(gateway)
        made = hub.ask(
            "POST", "/api/servers", {"name": "web", "remote_url": f"{web_server}/mcp"}
        )
        wait_until(
            lambda: hub.ask("GET", "/api/servers/web")[1]["status"] == "running",
            "the server runs",
        )

        called = hub.ask("POST", "/api/servers/web/invoke", {"tool": "headers"})

        assert made[0] == 201
        assert called[0] == 200, called
        assert called[1]["result"]["isError"] is False
        assert hub.gateway()["state"] == "ok"
        assert "GATEWAY_SKIP_START" in hub.gateway()["text"]
        # What clients are told is the other gateway's address.
        assert made[1]["server"]["endpoint"] == f"{gateway.url}/servers/web/mcp"


def test_a_gateway_with_another_secret_is_told_apart_from_one_that_is_away(
    gateway: Box,
) -> None:
    with other_hub(
        jwt_secret="another secret, also of 32 bytes and more",
        database_url=gateway.database_url,
        mcp_gateway_url=gateway.url,
    ) as hub:
        stranger = hub.gateway()
        gateway.stop()
        wait_until(lambda: "does not answer" in hub.gateway()["text"], "it is away")

    assert stranger["state"] == "down"
    assert "JWT_SECRET" in stranger["text"]


def _api_key(gateway: Box) -> str:
    person = gateway.execute("SELECT id FROM users WHERE email = 'ada@example.org'")
    return gateway.add_user_key(person)
