"""Fixtures of the contract suites."""

import pytest

from appliance.runtimes.model import InstanceSpec, Transport
from tests.engine import (
    base_image,
    box,
    docker_executor,
    engine,
    named_user_image,
    strange_image,
)

__all__ = [
    "base_image",
    "box",
    "docker_executor",
    "engine",
    "named_user_image",
    "strange_image",
]


@pytest.fixture
def spec(base_image: str) -> InstanceSpec:
    """A server that says nothing, and runs until it is told to end."""
    return InstanceSpec(
        server_id=1,
        server_name="one",
        deployment_id=11,
        image=base_image,
        transport=Transport.STDIO,
        arguments=("python3", "-c", "import signal; signal.pause()"),
    )
