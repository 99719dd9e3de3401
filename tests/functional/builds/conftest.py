"""A build service on a real engine and a real Postgres."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.builds.model import BuildRequest, BuildView, BuiltImage, Stage
from appliance.builds.service import BuildService
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.sources.model import Source
from appliance.sources.spec import parse_source
from tests.engine import (
    Box,
    base_image,
    box,
    docker_executor,
    engine,
    named_user_image,
    strange_image,
)
from tests.fakes.git_http import GitServer, git_server

__all__ = [
    "base_image",
    "box",
    "docker_executor",
    "engine",
    "named_user_image",
    "strange_image",
]


def add_deployment(database: Database, name: str) -> BuildRequest:
    """Store a server with one deployment, as far as builds need them."""
    execute: Any = database.peewee.execute_sql
    execute(
        "INSERT INTO users (email, password_hash, role) VALUES ('a@example.org', '', 'admin') ON CONFLICT DO NOTHING"
    )
    server = (
        "INSERT INTO servers (name, owner_id, source, endpoint_key_hash, endpoint_key_prefix)"
        " VALUES (%s, 1, '{}', %s, '') RETURNING id"
    )
    (server_id,) = execute(server, (name, name.encode())).fetchone()
    deployment = (
        "INSERT INTO deployments (server_id, number, source, config, requested_by)"
        " VALUES (%s, 1, '{}', '{}', '') RETURNING id"
    )
    (deployment_id,) = execute(deployment, (server_id,)).fetchone()
    return BuildRequest(
        deployment_id, server_id, name, parse_source({"package": "npm:none"})
    )


@dataclass
class Bench:
    """Builds sources one by one, each for a deployment of its own."""

    service: BuildService
    database: Database
    box: Box
    stages: list[Stage] = field(default_factory=list)
    count: int = 0

    async def request(
        self, source: Source | dict[str, Any], name: str = ""
    ) -> BuildRequest:
        """Return the request of a fresh deployment."""
        self.count += 1
        found = await self.database.run(
            add_deployment, self.database, name or f"server-{self.count}"
        )
        parsed = parse_source(source) if isinstance(source, dict) else source
        return BuildRequest(
            found.deployment_id, found.server_id, found.server_name, parsed
        )

    async def on_stage(self, stage: Stage) -> None:
        """Remember the stage."""
        self.stages.append(stage)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build it."""
        return await self.service.build(request, self.on_stage)

    async def view(self, request: BuildRequest) -> BuildView:
        """Return the build of a request."""
        found = await self.service.get(request.deployment_id)
        assert found is not None
        return found

    async def log(self, request: BuildRequest) -> str:
        """Return the whole log."""
        lines = await self.service.lines((await self.view(request)).id)
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        return "\n".join(line.text for line in lines)


@pytest.fixture
def bench(
    database: Database,
    engine: Engine,
    box: Box,
    base_image: str,  # noqa: ARG001 - made before, so that its making is in no test's time
) -> Bench:
    """A build service of a fresh installation."""
    return Bench(
        BuildService(database, engine, box.settings, owner=box.owner), database, box
    )


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[GitServer]:
    """A git server without repositories."""
    with git_server(tmp_path / "repositories") as server:
        yield server
