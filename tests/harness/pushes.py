"""A bench for pushes: a real registry behind faults, the real engine, and small images."""

import asyncio
import json
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.builds.ports import PublishRequest
from appliance.core.images import PlatformImage, Published
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.observability.usage import usage_of
from appliance.registry.credentials import CredentialKeeper
from appliance.registry.service import RegistryService
from appliance.settings import Settings, load_settings
from tests.harness.faults import FaultProxy, fault_proxy
from tests.harness.registry import Auth, Registry, registry

AMD64 = "linux/amd64"
ARM64 = "linux/arm64"


@dataclass
class PushBench:
    """Everything that a push needs, and everything that tells of it."""

    database: Database
    engine: Engine
    registry: Registry
    proxy: FaultProxy
    #: The dockerconfigjson that the pushes read.
    credentials: Path
    #: Whose metrics tell of the pushes.
    server_id: int = 1
    owner: str = field(default_factory=lambda: secrets.token_hex(6))
    #: Lines of the build's log.
    said: list[str] = field(default_factory=list)
    services: list[RegistryService] = field(default_factory=list)

    def settings(self, **overrides: Any) -> Settings:
        """Return settings that push through the proxy, without long pauses."""
        own: dict[str, Any] = {
            "registry": f"{self.proxy.host}/team",
            "registry_push_pause": 0.05,
            "registry_timeout": 5,
        }
        if self.registry.auth != "none":
            own["registry_auth_dockerconfig"] = self.credentials
        return load_settings(
            **({"jwt_secret": secrets.token_urlsafe(48)} | own | overrides)
        )

    async def service(self, **overrides: Any) -> RegistryService:
        """Return a service of its own, with settings over the usual ones."""
        settings = await asyncio.to_thread(self.settings, **overrides)
        database = self.database
        keeper = CredentialKeeper(database, settings, host=self.proxy.host)
        made = RegistryService(
            database, self.engine, settings, owner=self.owner, keeper=keeper
        )
        self.services.append(made)
        return made

    async def publish(
        self,
        service: RegistryService,
        *images: PlatformImage,
        name: str = "time",
        deployment_id: int = 1,
    ) -> Published:
        """Publish images of the bench's server."""
        request = PublishRequest(self.server_id, name, deployment_id, images)
        return await service.publish(request, self.said.append)

    async def events(self) -> list[dict[str, Any]]:
        """Return the server's metrics, oldest first."""
        found = await self.database.run(usage_of, self.server_id, limit=5000)
        return [
            {"event_type": item.event_type, "details": dict(item.details)}
            for item in reversed(found)
        ]

    async def event(self, name: str) -> dict[str, Any]:
        """Return the details of the one event of this name."""
        found = [
            item["details"]
            for item in await self.events()
            if item["event_type"] == name
        ]
        assert len(found) == 1, f"{len(found)} of {name}"
        return dict(found[0])

    async def names(self) -> list[str]:
        """Return the names of all events, oldest first."""
        return [item["event_type"] for item in await self.events()]

    def left_names(self) -> list[str]:
        """Return the names that pushes left on the engine's images."""
        command = ["docker", "images", "--digests", "--format", "{{.Repository}}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [line for line in done.stdout.split() if f"-push-{self.owner}-" in line]


@asynccontextmanager
async def push_bench(
    database: Database, auth: Auth = "none"
) -> AsyncIterator[PushBench]:
    """Set up a bench on a migrated database."""
    with (
        registry(auth) as running,
        fault_proxy(running.host) as proxy,
        tempfile.TemporaryDirectory(dir="/var/tmp") as home,
    ):
        credentials = Path(home) / "config.json"
        write_credentials(credentials, running.docker_config(proxy.host))
        engine = Engine()
        bench = PushBench(database, engine, running, proxy, credentials)
        try:
            yield bench
        finally:
            for item in bench.services:
                await item.close()
            await engine.close()


def write_credentials(path: Path, config: dict[str, object]) -> None:
    """Write a dockerconfigjson as only its owner may read it."""
    path.write_text(json.dumps(config))
    path.chmod(0o600)


@contextmanager
def small_image(
    *layers_bytes: int, platform: str = AMD64, marker: str = ""
) -> Iterator[PlatformImage]:
    """Give an image with a layer of random bytes for each size; nobody has ever pushed it.

    Args:
        marker: A label's value.
    """
    tag = f"push-test/{secrets.token_hex(6)}:1"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        lines = ["FROM scratch", f'LABEL marker="{marker}"']
        for number, size in enumerate(layers_bytes or (1000,)):
            (Path(home) / f"f{number}").write_bytes(secrets.token_bytes(size))
            lines.append(f"COPY f{number} /")
        (Path(home) / "Dockerfile").write_text("\n".join(lines))
        command = ["docker", "buildx", "build", "--builder", "default", "--load", "-q"]
        command += ["--platform", platform, "-t", tag, home]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
    try:
        yield PlatformImage(platform, made.stdout.strip(), tag)
    finally:
        subprocess.run(["docker", "rmi", "-f", tag], capture_output=True, check=False)
