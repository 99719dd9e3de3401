"""Bad input ends in a status with a reason that a person can act on, and leaves nothing behind."""

from typing import Any

import pytest

from tests.harness.appliance import Appliance, Created


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("no-package", {"package": "pypi:mcp-host-no-such-package"}, ["mcp-host-no-such-package"]),
        ("no-npm", {"package": "npm:@mcp-host-tests/no-such-package"}, ["@mcp-host-tests/no-such-package"]),
        ("no-version", {"package": "pypi:mcp-server-time==0.0.0"}, ["0.0.0"]),
        ("no-repository", {"repo_url": "http://127.0.0.1:9/none.git"}, ["127.0.0.1:9"]),
        ("no-image", {"image": "127.0.0.1:9/none:1"}, ["127.0.0.1:9/none:1"]),
        ("exits-at-once", {"package": "pypi:mcp-server-time", "arguments": ["--nope"]}, ["exit code 2", "--nope"]),
        ("no-mcp", {"remote_url": "http://127.0.0.1:9/mcp"}, ["did not answer"]),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_had_says_why(
    appliance: Appliance, name: str, fields: dict[str, Any], words: list[str]
) -> None:
    created = appliance.create(name, **fields)

    view = appliance.wait_status(created, {"error"}, timeout_s=150)

    for word in words:
        assert word in view["status_reason"]
    assert appliance.containers(created.id) == []
    appliance.delete(created.id)


def test_a_name_that_is_taken_is_refused_and_names_the_next_step(
    appliance: Appliance,
) -> None:
    created = appliance.create("taken", remote_url="http://127.0.0.1:9/mcp")

    refused = appliance.raw(
        "POST",
        "/api/servers",
        {"name": "taken", "remote_url": "http://127.0.0.1:9/mcp"},
    )

    assert refused.status_code == 409
    assert refused.json()["code"] == "server_name_taken"
    assert refused.json()["hint"]
    appliance.delete(created.id)


def test_a_stopped_build_leaves_nothing(appliance: Appliance) -> None:
    created = appliance.create("stopped", package="pypi:mcp-server-fetch")
    appliance.wait_status(created, {"building"})

    appliance.api("POST", f"/api/servers/{created.id}/stop")
    appliance.wait_status(created, {"stopped"}, timeout_s=20)

    assert appliance.containers(created.id) == []
    assert appliance.query(
        "SELECT state FROM builds WHERE server_id = %s", created.id
    ) == [("cancelled",)]
    _restart(appliance, created)
    appliance.delete(created.id)


def _restart(appliance: Appliance, created: Created) -> None:
    appliance.api("POST", f"/api/servers/{created.id}/start")
    appliance.wait_running(created)
