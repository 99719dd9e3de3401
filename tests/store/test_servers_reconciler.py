"""The reconciler on a real Postgres, with everything else in memory, killed at every single call."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.accounts.model import Principal, Role
from appliance.builds.errors import PackageNotFoundError
from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.infra.database import Database, DatabaseUnavailableError
from appliance.jobs.model import JobState
from appliance.jobs.queue import JobQueue
from appliance.jobs.tables import JobRow
from appliance.observability.usage import usage_of
from appliance.runtimes.errors import BoxFullError
from appliance.runtimes.model import ExecutorEvent, InstanceState
from appliance.secrets.errors import VaultAwayError
from appliance.secrets.model import VaultPlace
from appliance.secrets.service import SecretService
from appliance.servers import crashes, lifecycle, store, tasks
from appliance.servers.gate import Gate
from appliance.servers.health import store as health_store
from appliance.servers.health.model import HealthState
from appliance.servers.health.tables import HealthRow
from appliance.servers.mcp import McpClient
from appliance.servers.model import DeploymentState, NewServer, Server, Status
from appliance.servers.reconciler import Reconciler
from appliance.servers.redeploys import deploy_again
from appliance.servers.service import RECONCILE, ServerService
from appliance.servers.steps import Steps
from appliance.servers.traffic import GatewayTraffic
from appliance.settings import load_settings
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import Ecosystem, PackageSource
from tests.fakes.box import (
    KilledError,
    MemoryBuilds,
    MemoryExecutor,
    MemoryMcp,
    MemoryTraffic,
    Mortal,
    MortalDatabase,
)
from tests.harness.hosted import ada
from tests.harness.secrets import secrets_in

TIME = NewServer(PackageSource(Ecosystem.PYPI, "mcp-server-time"), name="time")


@dataclass
class Box:
    """A server, and all that is needed to bring it about."""

    database: Database
    principal: Principal
    service: ServerService
    executor: MemoryExecutor
    builds: MemoryBuilds
    mcp: MemoryMcp
    traffic: MemoryTraffic
    secrets: SecretService
    server_id: int = 0

    async def create(self) -> None:
        view, _ = await self.service.create(self.principal, TIME)
        self.server_id = view.server.id

    async def reconcile(self, mortal: Mortal | None = None) -> Any:
        """Run once, as a process that may be about to die."""
        mortal = mortal or Mortal()
        self.executor.mortal = self.builds.mortal = self.mcp.mortal = mortal
        self.traffic.mortal = mortal
        database = cast("Database", MortalDatabase(self.database, mortal))
        steps = Steps(
            database,
            self.executor,
            cast("BuildService", self.builds),
            cast("McpClient", self.mcp),
            gate=Gate(database, [self.executor]),
            secrets=self.secrets,
            start_timeout_s=0.2,
        )
        traffic = cast("GatewayTraffic", self.traffic)
        reconciler = Reconciler(database, self.executor, traffic, steps)
        return await reconciler.run(self.server_id)

    async def server(self) -> Server:
        return await self.database.run(store.get, self.server_id)

    async def assert_runs_once(self) -> None:
        """Hold everything that must be so of a running server."""
        server = await self.server()
        deployments = await self.database.run(store.deployments, self.server_id)
        records = await self.database.run(store.records, self.server_id)
        (instance,) = self.executor.there.values()
        (record,) = records
        live = [item for item in deployments if item.state is DeploymentState.LIVE]
        assert server.status is Status.RUNNING
        assert [item.id for item in live] == [instance.deployment_id]
        assert server.deployment_id == record.deployment_id == instance.deployment_id
        assert record.container_id == instance.container_id
        assert instance.state is InstanceState.RUNNING
        assert live[0].manifest


@pytest.fixture
async def box(database: Database, tmp_path: Path) -> Box:
    user = await ada(database)
    mortal = Mortal()
    executor = MemoryExecutor(mortal)
    builds, mcp = MemoryBuilds(mortal), MemoryMcp(mortal, executor)
    settings = await asyncio.to_thread(load_settings, jwt_secret="s" * 32)
    secrets = secrets_in(tmp_path, database)
    service = ServerService(
        database,
        executor,
        cast("BuildService", builds),
        cast("McpClient", mcp),
        keeper=SourceKeeper(database, settings),
        secrets=secrets,
        gateway_public_url="http://gateway",
    )
    principal = Principal(user.id, user.email, Role.ADMIN, "session")
    made = Box(
        database,
        principal,
        service,
        executor,
        builds,
        mcp,
        MemoryTraffic(mortal),
        secrets,
    )
    await made.create()
    return made


async def killed_everywhere(box: Box, *, after: bool) -> int:
    """Kill the reconciler around its first call, its second …, until a run comes to its end; return how often it died."""
    deaths = 0
    while True:
        try:
            await box.reconcile(Mortal(at=deaths + 1, after=after))
        except KilledError:
            deaths += 1
        else:
            return deaths


async def test_a_new_server_is_built_started_and_probed(box: Box) -> None:
    await box.reconcile()

    await box.assert_runs_once()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_new_server_still_runs_once(
    box: Box, *, after: bool
) -> None:
    deaths = await killed_everywhere(box, after=after)

    await box.assert_runs_once()
    assert deaths > 0
    assert len(box.builds.built) == 1
    assert box.executor.starts == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_redeploy_replaces_the_old(
    box: Box, *, after: bool
) -> None:
    await box.reconcile()
    await box.service.redeploy(box.principal, "time")

    await killed_everywhere(box, after=after)

    await box.assert_runs_once()
    states = [
        item.state for item in await box.service.deployments(box.principal, "time")
    ]
    assert states == [DeploymentState.LIVE, DeploymentState.SUPERSEDED]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_crash_counts_once(
    box: Box, *, after: bool
) -> None:
    await box.reconcile()
    box.executor.crash()

    await killed_everywhere(box, after=after)

    server = await box.server()
    assert server.crashes == 1
    assert server.status is Status.STARTING
    assert "no such setting" in server.status_reason


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_deletion_leaves_nothing(
    box: Box, *, after: bool
) -> None:
    await box.reconcile()
    await box.service.delete(box.principal, "time")

    await killed_everywhere(box, after=after)

    assert box.executor.there == {}
    assert await box.database.run(store.find, "time") is None
    events = await box.database.run(usage_of, box.server_id, limit=10)
    assert [item.event_type for item in events].count("delete") == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_stop_stops(box: Box, *, after: bool) -> None:
    await box.reconcile()
    await box.service.stop(box.principal, "time")

    await killed_everywhere(box, after=after)

    assert box.executor.there == {}
    assert (await box.server()).status is Status.STOPPED


async def test_a_stopped_server_starts_again_without_a_build(box: Box) -> None:
    await box.reconcile()
    await box.service.stop(box.principal, "time")
    await box.reconcile()

    await box.service.start(box.principal, "time")
    await box.reconcile()

    await box.assert_runs_once()
    assert len(box.builds.built) == 1


async def test_a_failed_build_is_the_status_with_its_reason(box: Box) -> None:
    box.builds.failure = PackageNotFoundError("PyPI has no package named x.")

    await box.reconcile()

    server = await box.server()
    assert (server.status, server.status_reason) == (
        Status.ERROR,
        "PyPI has no package named x.",
    )


async def test_a_failed_redeploy_leaves_the_old_one_serving(box: Box) -> None:
    await box.reconcile()
    await box.service.redeploy(box.principal, "time")
    box.builds.failure = PackageNotFoundError("PyPI has no package named x.")

    await box.reconcile()

    await box.assert_runs_once()
    reason = (await box.server()).status_reason
    assert "Deployment 2 failed: PyPI has no package named x." in reason
    assert "Deployment 1 serves" in reason


async def test_a_server_that_exits_before_it_answers_fails_at_once(box: Box) -> None:
    box.executor.exit_code = 2

    await box.reconcile()

    server = await box.server()
    assert server.status is Status.ERROR
    assert "exit code 2" in server.status_reason
    assert box.executor.there == {}
    assert box.executor.starts == 1


GONE = "AttributeError: 'Server' object has no attribute 'list_resources'"
NEEDS = "ValueError: WEATHER_API_KEY must be set"


def breaks_of_its_dependencies(box: Box, *images: str) -> None:
    box.builds.released = "2025-04-25T08:27:27+00:00"
    box.executor.broken = set(images)
    box.executor.printed = GONE


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_a_package_that_broke_is_deployed_once_more_as_of_its_release(
    box: Box, *, after: bool
) -> None:
    breaks_of_its_dependencies(box, "sha256:1")

    deaths = await killed_everywhere(box, after=after)

    await box.assert_runs_once()
    second, first = await box.service.deployments(box.principal, "time")
    assert deaths > 0
    assert (first.state, second.state) == (DeploymentState.FAILED, DeploymentState.LIVE)
    assert GONE in first.reason
    assert second.source == PackageSource(
        Ecosystem.PYPI, "mcp-server-time", "1.0", date(2025, 4, 26)
    )
    assert second.resolved["as_of"] == "2025-04-26"
    assert second.reason == second.resolved["as_of_because"]
    assert second.reason.startswith("Resolved as of 2025-04-26, because deployment 1")
    assert first.reason in second.reason
    assert box.builds.requests[second.id].note == second.reason
    assert (await box.server()).source == TIME.source


async def test_a_second_attempt_that_fails_is_the_last_and_hides_nothing(
    box: Box,
) -> None:
    breaks_of_its_dependencies(box, "sha256:1", "sha256:2")

    await box.reconcile()

    server = await box.server()
    second, first = await box.service.deployments(box.principal, "time")
    assert server.status is Status.ERROR
    assert server.status_reason == second.reason
    assert "Resolved as of 2025-04-26" in second.reason
    assert first.reason in second.reason
    assert box.executor.there == {}


async def test_a_redeploy_that_broke_is_tried_once_more_while_the_old_one_serves(
    box: Box,
) -> None:
    await box.reconcile()
    breaks_of_its_dependencies(box, "sha256:2")
    await box.service.redeploy(box.principal, "time")

    await box.reconcile()

    await box.assert_runs_once()
    states = [
        item.state for item in await box.service.deployments(box.principal, "time")
    ]
    assert states == [
        DeploymentState.LIVE,
        DeploymentState.FAILED,
        DeploymentState.SUPERSEDED,
    ]
    assert box.builds.requests[2].like == box.builds.requests[3].like == 1


async def test_a_start_that_fails_for_want_of_a_setting_names_it(box: Box) -> None:
    breaks_of_its_dependencies(box, "sha256:1")
    box.executor.printed = NEEDS

    await box.reconcile()

    view = await box.service.get(box.principal, "time")
    assert view.server.status is Status.ERROR
    assert view.server.status_reason == (
        f"It needs the setting WEATHER_API_KEY. It ended with exit code 1. Last output: {NEEDS}"
    )
    assert view.missing_settings == ("WEATHER_API_KEY",)


async def test_a_setting_that_was_missing_is_given_and_the_server_runs(
    box: Box,
) -> None:
    breaks_of_its_dependencies(box, "sha256:1")
    box.executor.printed = NEEDS
    await box.reconcile()

    await box.service.provide(box.principal, "time", {"WEATHER_API_KEY": "sunny"})
    await box.reconcile()

    await box.assert_runs_once()
    view = await box.service.get(box.principal, "time")
    assert view.missing_settings == ()
    # Secret by its name: it is nowhere in the configuration, and the instance got it.
    assert view.server.config.environment == {}
    (given,) = box.executor.secrets[-1]
    assert (given.name, given.value.get_secret_value()) == ("WEATHER_API_KEY", "sunny")


async def test_a_start_that_hangs_takes_no_longer_than_it_may(box: Box) -> None:
    box.mcp.hangs = True

    async with asyncio.timeout(10):  # a probe alone would wait for 20 s
        await box.reconcile()

    server = await box.server()
    assert server.status is Status.ERROR
    assert "did not answer as an MCP server within 0.2 s" in server.status_reason


async def test_a_server_that_never_answers_fails_and_is_removed(box: Box) -> None:
    box.mcp.is_silent = True

    await box.reconcile()

    server = await box.server()
    assert server.status is Status.ERROR
    assert "did not answer" in server.status_reason
    assert box.executor.there == {}


async def test_a_live_server_that_falls_silent_after_a_restart_is_degraded_until_its_checks_say_otherwise(
    box: Box,
) -> None:
    await box.reconcile()
    box.executor.there.clear()
    box.mcp.is_silent = True
    await box.reconcile()
    assert (await box.server()).status is Status.DEGRADED

    await box.reconcile()
    assert (await box.server()).status is Status.DEGRADED
    await box.database.run(find_ready, box.server_id)
    await box.reconcile()

    assert (await box.server()).status is Status.RUNNING


def find_ready(server_id: int) -> None:
    """Have the checks find that the server answers again."""
    (record,) = store.records(server_id)
    HealthRow.update(
        state=HealthState.READY.value,
        instance_id=record.id,
        deployment_id=record.deployment_id,
        checked_at=now(),
    ).where(HealthRow.server_id == server_id).execute()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_around_every_call_the_old_one_stays_until_its_calls_are_over(
    box: Box, *, after: bool
) -> None:
    await box.reconcile()
    (old,) = box.executor.there
    box.traffic.calls = 1
    await box.service.redeploy(box.principal, "time")

    await killed_everywhere(box, after=after)
    look_again = await box.reconcile()

    assert old in box.executor.there
    assert len(box.executor.there) == 2
    assert (await box.server()).status is Status.RUNNING
    assert look_again is not None

    box.traffic.calls = 0
    await killed_everywhere(box, after=after)
    await box.assert_runs_once()
    assert box.executor.starts == 2


async def test_clients_are_sent_to_the_new_one_only_after_it_answered(box: Box) -> None:
    await box.reconcile()
    before = (await box.server()).deployment_id
    box.mcp.is_silent = True
    await box.service.redeploy(box.principal, "time")

    await box.reconcile()

    server = await box.server()
    assert server.deployment_id == before
    assert (await box.database.run(store.records, box.server_id))[
        0
    ].deployment_id == before
    newest, *_ = await box.service.deployments(box.principal, "time")
    assert newest.state is DeploymentState.FAILED
    assert "Nothing answers" in newest.reason


async def test_the_old_one_is_started_again_while_a_new_one_comes_up(box: Box) -> None:
    await box.reconcile()
    (old,) = box.executor.there
    box.executor.there.clear()
    box.mcp.is_silent = True
    await box.service.redeploy(box.principal, "time")

    await box.reconcile()

    assert list(box.executor.there) == [old]


async def test_a_server_that_keeps_crashing_ends_in_error(box: Box) -> None:
    await box.reconcile()
    for _ in range(crashes.MAX_CRASHES):
        box.executor.crash()
        await box.reconcile()
        await box.database.run(_forget_the_wait, box.server_id)
        await box.reconcile()

    server = await box.server()
    assert server.status is Status.ERROR
    assert "no such setting" in server.status_reason
    assert box.executor.there == {}

    await box.service.start(box.principal, "time")
    await box.reconcile()
    await box.assert_runs_once()


async def test_an_engine_that_goes_away_again_and_again_costs_a_server_nothing(
    box: Box,
) -> None:
    await box.reconcile()
    for _ in range(crashes.MAX_CRASHES + 1):
        box.executor.crash(with_engine=True)
        await box.reconcile()

    await box.assert_runs_once()
    assert (await box.server()).crashes == 0
    told = await box.database.run(
        health_store.history, box.server_id, before=None, limit=50
    )
    assert lifecycle.ENDED_WITH_ENGINE in {item.reason for item in told}


async def test_a_server_waits_for_room_on_the_disk_however_long_that_takes(
    box: Box,
) -> None:
    await box.reconcile()
    box.executor.crash()
    await box.reconcile()
    await box.database.run(_forget_the_wait, box.server_id)
    box.executor.refusal = BoxFullError("This box has only 3 MiB free at /data.")
    for _ in range(crashes.MAX_CRASHES + 1):
        with pytest.raises(BoxFullError):
            await box.reconcile()

    waiting = await box.server()
    box.executor.refusal = None
    await box.reconcile()

    assert (waiting.status, waiting.crashes) == (Status.STARTING, 1)
    assert "only 3 MiB free" in waiting.status_reason
    await box.assert_runs_once()


async def test_a_new_version_that_finds_no_room_fails_and_says_so(box: Box) -> None:
    box.executor.refusal = BoxFullError("This box has only 3 MiB free at /data.")

    await box.reconcile()

    server = await box.server()
    assert server.status is Status.ERROR
    assert "only 3 MiB free" in server.status_reason


async def test_what_happens_while_postgres_cannot_write_is_looked_at_when_it_can(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETRY_S", 0.01)
    full = FullDatabase(box.database, refusals=2)
    database = cast("Database", full)
    died = ExecutorEvent(box.server_id, 1, "die")
    looked_at: list[int] = []

    async def events() -> AsyncIterator[ExecutorEvent]:
        yield died
        yield ExecutorEvent(box.server_id, 1, "pause")

    async def ask(server_id: int) -> None:
        looked_at.append(server_id)

    await box.database.run(_nothing_waits)
    sweep = partial(database.run, tasks.reconcile_all)
    await tasks.watch_executor(events(), database, sweep, ask)

    waiting = await JobQueue(box.database).list(kind=RECONCILE, state=JobState.QUEUED)
    assert full.refusals == 0
    assert [job.payload for job in waiting] == [{"server_id": box.server_id}]
    assert looked_at == [box.server_id]


def _nothing_waits() -> None:
    JobRow.delete().execute()


@dataclass
class FullDatabase:
    """The real one, whose disk is full at first."""

    real: Database
    refusals: int

    async def run(self, function: Any, *args: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise DatabaseUnavailableError(
                "Postgres could not do this: No space left on device."
            )
        return await self.real.run(function, *args)


def _forget_the_wait(server_id: int) -> None:
    """Move the last crash back by the longest wait, as time would."""
    from appliance.servers.tables import ServerRow  # noqa: PLC0415 - only this test looks below the store

    row = ServerRow.get_by_id(server_id)
    row.last_crash_at -= crashes.MAX_BACKOFF
    row.save()


async def test_a_start_waits_while_a_secret_cannot_be_had_and_what_runs_stays(
    box: Box,
) -> None:
    def put(value: str | VaultPlace) -> None:
        box.secrets.keeper.put(box.server_id, "API_KEY", value, by="ada")

    await box.database.run(put, "first-value")
    await box.reconcile()
    (before,) = box.executor.there
    await box.database.run(put, VaultPlace("mcp-host/time/API_KEY", 1))
    await box.database.run(
        lambda: deploy_again(box.server_id, requested_by="ada", reason="A new value.")
    )

    with pytest.raises(VaultAwayError):
        await box.reconcile()

    server = await box.server()
    assert server.status is Status.STARTING
    assert "kept in Vault" in server.status_reason
    assert list(box.executor.there) == [before]
    assert server.crashes == 0
    await box.database.run(put, "second-value")
    await box.reconcile()
    await box.assert_runs_once()
    assert box.executor.secrets[-1][0].value.get_secret_value() == "second-value"
