"""Packages that need more than to be started: hosted by a whole appliance."""

from tests.harness.appliance import Appliance
from tests.harness.mcp import HttpMcp


def test_a_package_that_its_newest_dependencies_broke_is_hosted_as_of_its_release(
    appliance: Appliance,
) -> None:
    created = appliance.create("sqlite", package="pypi:mcp-server-sqlite==2025.4.25")

    view = appliance.wait_running(created)

    with HttpMcp(created.endpoint, created.key) as client:
        client.initialize()
        names = {tool["name"] for tool in client.request("tools/list")["tools"]}
    path = f"/api/servers/{created.id}/deployments"
    second, first = appliance.api("GET", path)["items"]
    assert "read_query" in names
    assert view["source"] == {
        "kind": "package",
        "package": "pypi:mcp-server-sqlite==2025.4.25",
    }
    assert second["resolved"]["as_of"] == "2025-04-26"
    assert first["reason"] in second["reason"]
    assert "AttributeError" in first["reason"]
    appliance.delete(created.id)
