"""Builds that ended, as the ledger is told of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.artifacts.model import RunRecord, ServerFacts
from appliance.artifacts.records import record_of
from appliance.builds.model import BuildState
from appliance.builds.ports import FinishedRun
from appliance.core.images import (
    CredentialOutcome,
    PlatformImage,
    Published,
    PublishedPlatform,
)
from appliance.sources.spec import parse_source

AMD, ARM = "linux/amd64", "linux/arm64"
BOTH = (AMD, ARM)
BEGIN = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)
HEALTHY = CredentialOutcome("healthy")
REPOSITORY = "registry.example.org/mcp/time"


def digest(number: int) -> str:
    """Return a digest that no other number has."""
    return f"sha256:{number:064x}"


def published(
    *platforms: str, credentials: CredentialOutcome = HEALTHY, first: int = 100
) -> Published:
    """Return what a registry keeps of these platforms."""
    return Published(
        repository=REPOSITORY,
        tag="7",
        digest=digest(first),
        is_multi_arch=len(platforms) > 1,
        platforms=tuple(
            PublishedPlatform(
                name,
                f"{REPOSITORY}@{digest(first + number)}",
                digest(first + number),
                credentials,
            )
            for number, name in enumerate(platforms, 1)
        ),
        credentials=credentials,
    )


def images(*platforms: str) -> tuple[PlatformImage, ...]:
    """Return what a build left on this box."""
    return tuple(
        PlatformImage(name, digest(number), f"mcp-host/time:{number}")
        for number, name in enumerate(platforms, 1)
    )


def finished(number: int = 1, **changes: Any) -> FinishedRun:
    """Return a build that went well, of server ``number``; one that failed has neither images nor anything published."""
    source = changes.pop("source", {"package": "pypi:mcp-server-time==1.2.3"})
    run = FinishedRun(
        build_id=number,
        attempt=1,
        deployment_id=number,
        server_id=number,
        server_name=f"time-{number}",
        source=parse_source(source),
        status=BuildState.SUCCEEDED,
        error="",
        revision="1.2.3",
        local_image=f"mcp-host/time:{number}",
        images=images(*BOTH),
        published=published(*BOTH, first=100 * number),
        started_at=BEGIN,
        completed_at=BEGIN + timedelta(seconds=20),
    )
    if changes.get("status", BuildState.SUCCEEDED) is not BuildState.SUCCEEDED:
        run = replace(run, images=(), published=None, local_image="", revision="")
    return replace(run, **changes)


def record(number: int = 1, **changes: Any) -> RunRecord:
    """Return the same as the ledger keeps it, where both platforms are wanted and somebody owns an npm server."""
    return record_of(finished(number, **changes), ServerFacts(1, "npm"), BOTH)
