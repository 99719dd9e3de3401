"""Packages as of a day, and locks that later builds keep: with the real registries."""

import asyncio
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from appliance.builds.errors import PackageTooNewError
from appliance.builds.model import BuiltImage, Lock
from appliance.builds.service import BuildService
from appliance.infra.docker import Engine
from appliance.settings import load_settings
from tests.functional.builds.conftest import Bench
from tests.functional.builds.test_builds_packages import tools


async def lock_of(bench: Bench, deployment_id: int) -> Lock:
    found = await bench.service.lock(deployment_id)
    assert found is not None
    return found


async def built_again(
    bench: Bench, source: dict[str, Any], like: int
) -> tuple[BuiltImage, Lock]:
    request = replace(await bench.request(source), like=like)
    built = await bench.build(request)
    return built, await lock_of(bench, request.deployment_id)


async def test_a_package_that_its_newest_dependencies_broke_lists_its_tools_as_of_its_release(
    bench: Bench,
) -> None:
    package = "pypi:mcp-server-sqlite==2025.4.25"
    request = await bench.request({"package": package, "as_of": "2025-04-26"})

    built = await bench.build(request)
    kept, lock = await built_again(bench, {"package": package}, request.deployment_id)

    assert "read_query" in tools(built.image, "--db-path", "/tmp/a.db")
    assert built.resolved["as_of"] == kept.resolved["as_of"] == "2025-04-26"
    assert built.resolved["released"].startswith("2025-04-25T")
    assert lock.as_of == date(2025, 4, 26)
    assert lock == await lock_of(bench, request.deployment_id)
    assert "mcp==1.6.0" in lock.text
    assert "--hash=sha256:" in lock.text
    assert kept.resolved["kept"] is True


async def test_an_npm_package_keeps_what_it_took_until_its_version_changes(
    bench: Bench,
) -> None:
    request = await bench.request(
        {"package": "npm:is-odd@3.0.1", "as_of": "2026-01-01"}
    )

    await bench.build(request)
    first = await lock_of(bench, request.deployment_id)
    kept, same = await built_again(
        bench, {"package": "npm:is-odd@3.0.1"}, request.deployment_id
    )
    other, changed = await built_again(
        bench, {"package": "npm:is-odd@3.0.0"}, request.deployment_id
    )

    assert '"integrity": "sha512-' in first.text
    assert same == first
    assert kept.resolved["kept"] is True
    assert (changed.version, changed.as_of) == ("3.0.0", None)
    assert "kept" not in other.resolved


@pytest.mark.parametrize(
    "package", ["pypi:mcp-server-time", "npm:@modelcontextprotocol/server-memory"]
)
async def test_a_minimum_age_that_nothing_has_names_its_setting(
    bench: Bench, engine: Engine, package: str
) -> None:
    # Ten years ago there was neither.
    settings = await asyncio.to_thread(
        load_settings,
        jwt_secret="s" * 32,
        data_dir=bench.box.settings.data_dir,
        package_min_release_age_days=3650,
    )
    service = BuildService(bench.database, engine, settings, owner=bench.box.owner)
    request = await bench.request({"package": package})

    with pytest.raises(
        PackageTooNewError, match="PACKAGE_MIN_RELEASE_AGE_DAYS is 3650"
    ):
        await service.build(request, bench.on_stage)

    assert await bench.service.lock(request.deployment_id) is None
