"""What an executor is asked to run follows from the deployment."""

from dataclasses import replace

import pytest

from appliance.runtimes.model import Transport
from appliance.servers.instances import instance_spec
from appliance.servers.model import DeploymentState, ServerConfig
from tests.unit.test_servers_lifecycle import a_deployment, a_server


@pytest.mark.parametrize(
    ("transport", "configured", "path"),
    [
        (Transport.STREAMABLE_HTTP, "/mcp", "/mcp"),
        (Transport.SSE, "/mcp", "/sse"),
        (Transport.SSE, "/events", "/events"),
    ],
)
def test_a_server_of_http_sse_is_asked_where_such_servers_listen(
    transport: Transport, configured: str, path: str
) -> None:
    config = replace(ServerConfig(), transport=transport, path=configured)
    deployment = a_deployment(1, DeploymentState.LIVE)

    assert instance_spec(a_server(), replace(deployment, config=config)).path == path
