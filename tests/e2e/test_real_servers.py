"""Published servers, hosted through the whole pipeline and called as a client would."""

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.git_http import git_server
from tests.harness.appliance import Appliance
from tests.harness.egress import box_address
from tests.harness.mcp import HttpMcp


@dataclass(frozen=True)
class Hosted:
    """One published server, and a call whose answer we know."""

    name: str
    package: str
    tool: str
    arguments: dict[str, Any]
    expected: str
    fields: dict[str, Any] = field(default_factory=dict)


HOSTED = (
    Hosted(
        "time",
        "pypi:mcp-server-time",
        "get_current_time",
        {"timezone": "UTC"},
        '"timezone": "UTC"',
    ),
    Hosted(
        "everything",
        "npm:@modelcontextprotocol/server-everything",
        "echo",
        {"message": "hello"},
        "Echo: hello",
    ),
    Hosted(
        "memory",
        "npm:@modelcontextprotocol/server-memory",
        "create_entities",
        {
            "entities": [
                {
                    "name": "Ada",
                    "entityType": "person",
                    "observations": ["wrote a program"],
                }
            ]
        },
        "[",
        {"environment": {"MEMORY_FILE_PATH": "/data/memory.json"}},
    ),
    Hosted(
        "filesystem",
        "npm:@modelcontextprotocol/server-filesystem",
        "list_allowed_directories",
        {},
        "/data",
        {"arguments": ["/data"]},
    ),
)


@pytest.mark.parametrize("hosted", HOSTED, ids=lambda hosted: hosted.name)
def test_a_published_server_is_hosted_and_answers(
    appliance: Appliance, hosted: Hosted
) -> None:
    created = appliance.create(hosted.name, package=hosted.package, **hosted.fields)

    view = appliance.wait_running(created)

    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        assert hosted.tool in {
            tool["name"] for tool in client.request("tools/list")["tools"]
        }
        assert hosted.expected in _text(client.call(hosted.tool, **hosted.arguments))
    invoked = appliance.api(
        "POST",
        f"/api/servers/{created.id}/invoke",
        {"tool": hosted.tool, "arguments": hosted.arguments},
    )
    assert hosted.expected in _text(invoked["result"])
    assert view["deployment"]["resolved"]["version"]
    appliance.delete(created.id)
    assert appliance.containers(created.id) == []


def _denied(appliance: Appliance, place: str) -> list[dict[str, Any]]:
    """Return what a server was kept from, as soon as that is told."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := appliance.api("GET", f"{place}/denied")["items"]:
            return list(found)
        time.sleep(0.1)
    return []


def test_mcp_server_fetch_fetches_a_page_that_it_is_allowed(
    appliance: Appliance, page: str
) -> None:
    created = appliance.create(
        "fetch",
        package="pypi:mcp-server-fetch",
        arguments=["--ignore-robots-txt", "--allow-private-ips"],
    )
    appliance.wait_running(created)
    place = f"/api/servers/{created.id}/egress"
    by_default = appliance.api("GET", place)

    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        kept = client.call("fetch", url=page)
        denied = _denied(appliance, place)
        appliance.api(
            "POST", f"{place}/allow", {"hosts": [page[7:-1]], "private": True}
        )
        text = _text(client.call("fetch", url=page))

    assert (by_default["mode"], by_default["enforced"]) == ("open", True)
    assert kept["isError"]
    assert "served from the box" in text
    assert [(item["destination"], item["protocol"]) for item in denied] == [
        (box_address(), "tcp")
    ]
    appliance.delete(created.id)


REPOSITORY = {
    "pyproject.toml": '[project]\nname = "weather"\nversion = "1.0"\ndependencies = ["mcp==2.3.0"]\n',
    "server.py": (
        "import os\n"
        "from mcp.server import MCPServer\n"
        "server = MCPServer('weather')\n"
        "@server.tool()\n"
        "def sunshine(city: str) -> str:\n"
        "    return f'the sun shines in {city}'\n"
        "if __name__ == '__main__':\n"
        "    server.run(transport='streamable-http', host='0.0.0.0', port=int(os.environ['PORT']))\n"
    ),
}


def test_a_repository_without_a_dockerfile_is_hosted_over_streamable_http(
    appliance: Appliance, tmp_path: Path
) -> None:
    with git_server(tmp_path) as repositories:
        url = repositories.add("weather", REPOSITORY, branch="release")
        created = appliance.create("weather", repo_url=url, branch="release")
        view = appliance.wait_running(created)

    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        assert "in Delft" in _text(client.call("sunshine", city="Delft"))
    assert view["deployment"]["resolved"]["transport"] == "streamable-http"
    assert len(view["deployment"]["resolved"]["revision"]) == 40
    appliance.delete(created.id)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """A page on this box, at an address that is private."""
    (tmp_path / "index.html").write_text(
        "<html><body><p>served from the box</p></body></html>"
    )
    handler = partial(_Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler)  # noqa: S104 - containers reach it
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{box_address()}:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _text(result: dict[str, Any]) -> str:
    assert not result.get("isError"), result
    return "".join(item.get("text", "") for item in result["content"])
