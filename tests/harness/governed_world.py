"""A box whose engine only notes what it is asked to launch, and a judge beside it that reads Postgres by itself.

The executor, the builder, the gateway and the server are stand-ins: the claim is about decisions. Everything that decides, and
everything that reviewers and owners do, are the product's own services on a real Postgres.
"""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from appliance.accounts.model import SYSTEM, Principal, Role
from appliance.accounts.people import add_person
from appliance.artifacts.service import LedgerService
from appliance.builds.model import BuildRequest, BuiltImage, StageListener
from appliance.builds.service import BuildService
from appliance.core.clock import now
from appliance.core.tiers import matches
from appliance.infra.database import Database
from appliance.policy import store as policy_store
from appliance.policy.model import Purpose, StoredDecision
from appliance.promotions.deeds import Wanted
from appliance.promotions.model import NewStage, NewTrack
from appliance.promotions.room import Promotions, make_promotions
from appliance.runtimes.model import SERVE, Instance, InstanceSpec
from appliance.servers import candidate_store, store
from appliance.servers.gate import Gate
from appliance.servers.mcp import McpClient
from appliance.servers.model import DeploymentState, NewServer
from appliance.servers.policies import is_reproduced
from appliance.servers.reconciler import Reconciler
from appliance.servers.reviewing import PolicyReview
from appliance.servers.service import ServerService
from appliance.servers.steps import Steps
from appliance.servers.store import facts as server_facts
from appliance.servers.traffic import GatewayTraffic
from appliance.servers.versions import live_digest
from appliance.settings import Settings
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import Ecosystem, PackageSource
from tests.fakes.box import (
    MemoryBuilds,
    MemoryExecutor,
    MemoryMcp,
    MemoryTraffic,
    Mortal,
    MortalDatabase,
)
from tests.fakes.runs import BOTH, finished, published
from tests.harness.governed import certify_now
from tests.harness.secrets import secrets_in

P = ParamSpec("P")
T = TypeVar("T")
REQUIREMENTS = ("smoke", "review")
#: Versions that servers are built from; equal versions of two owners have one digest.
VERSIONS = 3
_numbers = itertools.count(1)

_CERTIFIED = """
SELECT EXISTS (SELECT FROM (
    SELECT status, valid_from, valid_until FROM evaluation_certifications
    WHERE manifest_digest = %s AND tier = %s AND policy_requirement = %s AND org_id IS NULL AND owner_id = %s
    ORDER BY updated_at DESC, id DESC LIMIT 1) newest
WHERE status = 'pass' AND (valid_from IS NULL OR valid_from <= now()) AND (valid_until IS NULL OR valid_until > now()))
"""
_PROMOTED = """
SELECT EXISTS (SELECT FROM artifact_promotions p JOIN promotion_tracks t ON t.id = p.track_id
WHERE p.manifest_digest = %s AND p.tier = %s AND p.status = 'active'
  AND CASE WHEN %s = '' THEN t.owner_id = %s AND t.org_id IS NULL ELSE t.name = %s END)
"""


@dataclass
class Meddler(Mortal):
    """Dies at a call, or has something else happen there first and goes on."""

    deed: Callable[[], Awaitable[object]] | None = None

    async def live(self, call: Callable[[], Awaitable[T]]) -> T:
        if self.deed is None:
            return await super().live(call)
        self.calls += 1
        if self.calls == self.at:
            await self.deed()
        return await call()


@dataclass
class Judge:
    """Reads, after every transaction, what was decided in it, and whether that was right by then."""

    real: Database
    seen: int = 0
    launches: int = 0
    holds: int = 0
    #: Decisions by which something was started.
    used: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Hold every decision that is new against what is so now; nothing happened in between."""
        for item in reversed(policy_store.page(limit=50)):
            if item.id <= self.seen:
                continue
            self.seen = item.id
            self._judge(item)

    def _judge(self, item: StoredDecision) -> None:
        if item.purpose is not Purpose.SERVE:
            return
        missing = self._missing(item)
        notes = set(item.decision.notes)
        if item.decision.verdict.value == "launch":
            self.launches += 1
            assert not missing, f"decision {item.id} launches without {missing}"
        elif item.decision.verdict.is_hold:
            self.holds += 1
            assert missing, f"decision {item.id} holds and nothing is missing"
        for what in missing:
            assert any(_tells(note, what) for note in notes), (
                f"decision {item.id} does not note that {what} is missing: {notes}"
            )
        assert is_reproduced(item), f"decision {item.id} is not what its facts make"

    def _missing(self, item: StoredDecision) -> list[str]:
        """Return what the active document asks for and the decision's digest does not have."""
        rows = self.real.peewee.execute_sql(
            "SELECT body FROM policy_documents WHERE is_active"
        ).fetchone()
        made, found = item.decision, []
        owner = item.facts["request"]["owner_id"]
        for rule in rows[0]["rules"] if rows else ():
            if not any(matches(made.tier, pattern) for pattern in rule["tiers"]):
                continue
            if rule["kind"] == "require-certification":
                found += [
                    name
                    for name in rule["requirements"]
                    if not self._is(
                        _CERTIFIED, made.manifest_digest, made.tier, name, owner
                    )
                ]
            if rule["kind"] == "require-promotion":
                track = rule.get("track", "")
                has = self._is(_PROMOTED, made.manifest_digest, made.tier, track, owner, track)  # fmt: skip
                found += [] if has else ["promotion"]
        return found

    def _is(self, sql: str, *values: Any) -> bool:
        return bool(self.real.peewee.execute_sql(sql, values).fetchone()[0])


def _tells(note: str, what: str) -> bool:
    """Tell whether a note says that something is missing: a certification by its name, or a promotion."""
    if what == "promotion":
        return note.startswith("governance:missing-promotion:")
    kind, _, rest = note.partition(":")
    return (
        kind == "evaluation" and rest.endswith(f":{what}") and "certified" not in rest
    )


@dataclass
class JudgedDatabase(MortalDatabase):
    """The real database behind a mortal caller, with the judge behind every commit."""

    judge: Judge

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._judged(lambda: self.real.run(function, *args, **kwargs))

    async def run_as_one_moment(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._judged(
            lambda: self.real.run_as_one_moment(function, *args, **kwargs)
        )

    async def _judged(self, call: Callable[[], Awaitable[T]]) -> T:
        async def judged() -> T:
            result = await call()
            await self.real.run(self.judge.look)
            return result

        return await self.mortal.live(judged)


class NotingExecutor(MemoryExecutor):
    """Notes what is launched, and by which decision."""

    judge: Judge

    async def start(self, spec: InstanceSpec) -> Instance:
        before = spec.name in self.there
        instance = await super().start(spec)
        if spec.purpose == SERVE and not before:
            assert spec.decision_id, f"{spec.name} was started by no decision"
            assert spec.decision_id not in self.judge.used, "one decision, two launches"
            self.judge.used.add(spec.decision_id)
        return instance


class LedgerBuilds(MemoryBuilds):
    """Builds that take no time, and are in the ledger afterwards."""

    def __init__(
        self, mortal: Mortal, ledger: LedgerService, database: Database
    ) -> None:
        super().__init__(mortal)
        self._ledger = ledger
        self._database = database
        self.version = 0

    async def build(self, request: BuildRequest, on_stage: StageListener) -> BuiltImage:
        built = await super().build(request, on_stage)
        run = finished(
            request.deployment_id,
            server_id=request.server_id,
            server_name=request.server_name,
            published=published(*BOTH, first=9000 + 10 * self.version),
            local_image=built.image,
        )
        await self._database.run(self._ledger.record, run)
        return built


@dataclass
class World:
    """Two owners with a server each, of the same packages, and a track."""

    database: Database
    services: tuple[ServerService, ...]
    promotions: Promotions
    executor: NotingExecutor
    builds: LedgerBuilds
    mcp: MemoryMcp
    traffic: MemoryTraffic
    secrets: Any
    judge: Judge
    owners: list[Principal] = field(default_factory=list)
    servers: list[int] = field(default_factory=list)
    track: str = ""

    @classmethod
    def make(cls, database: Database, settings: Settings, place: Path) -> "World":
        """Return a world in which nothing happened yet."""
        mortal, judge = Mortal(), Judge(database)
        executor = NotingExecutor(mortal)
        executor.judge = judge
        ledger = LedgerService(database, servers=server_facts, targets=())
        builds = LedgerBuilds(mortal, ledger, database)
        mcp = MemoryMcp(mortal, executor)
        secrets = secrets_in(place, database)
        service = ServerService(
            database,
            executor,
            cast("BuildService", builds),
            cast("McpClient", mcp),
            keeper=SourceKeeper(database, settings),
            secrets=secrets,
            gateway_public_url="http://gateway",
        )
        promotions = make_promotions(database, live=live_digest)
        return cls(
            database, (service,), promotions, executor, builds, mcp, MemoryTraffic(mortal), secrets, judge
        )  # fmt: skip

    async def begin(self) -> None:
        """Add the people, their servers and the track."""
        number = next(_numbers)
        self.track = f"production-{number}"
        newest = await self.database.run(policy_store.page, limit=1)
        self.judge.seen = newest[0].id if newest else 0
        for name in ("ada", "bob"):
            email = f"{name}-{number}@example.org"
            user = await self.database.run(add_person, SYSTEM, email, "", Role.MEMBER)
            owner = Principal(user.id, user.email, user.role, "session")
            new = NewServer(
                PackageSource(Ecosystem.PYPI, "mcp-server-time"),
                name=f"{name}-{number}",
            )
            view, _ = await self.services[0].create(owner, new)
            self.owners.append(owner)
            self.servers.append(view.server.id)
        stages = (NewStage("canary"), NewStage("live"))
        await self.promotions.tracks.create(
            self.owners[0], NewTrack(self.track, stages, allow_self=True)
        )

    async def reconcile(self, who: int, mortal: Mortal | None = None) -> None:
        """Work towards what is wanted, as a process that may be about to die."""
        mortal = mortal or Mortal()
        self.executor.mortal = self.builds.mortal = self.mcp.mortal = mortal
        self.traffic.mortal = mortal
        database = cast("Database", JudgedDatabase(self.database, mortal, self.judge))
        gate = Gate(database, [self.executor])
        steps = Steps(
            database,
            self.executor,
            cast("BuildService", self.builds),
            cast("McpClient", self.mcp),
            gate=gate,
            secrets=self.secrets,
            start_timeout_s=0.2,
        )
        traffic = cast("GatewayTraffic", self.traffic)
        await Reconciler(database, self.executor, traffic, steps).run(self.servers[who])

    # -- what people and time do

    async def redeploy(self, who: int, number: int) -> None:
        self.builds.version = number % VERSIONS
        await self.services[0].redeploy(self.owners[who], self.servers[who])

    async def certify(self, who: int, number: int) -> None:
        status = ("pass", "pass", "pass", "fail", "pending")[number % 5]
        requirement = REQUIREMENTS[number // 5 % 2]
        await self.database.run(certify_now, self.servers[who], requirement, status=status)  # fmt: skip

    async def expire(self, who: int, _: int) -> None:
        """Let time go by for what is certified of a server."""
        hour, minute = now() - timedelta(hours=1), now() - timedelta(minutes=1)
        await self._sql(
            "UPDATE evaluation_certifications SET valid_from = %s, valid_until = %s WHERE server_id = %s AND status = 'pass'",
            *(hour, minute, self.servers[who]),
        )

    async def not_yet(self, who: int, _: int) -> None:
        """Let what is certified count from tomorrow: somebody set the clock back."""
        await self._sql(
            "UPDATE evaluation_certifications SET valid_from = %s, valid_until = NULL WHERE server_id = %s AND status = 'pass'",
            *(now() + timedelta(days=1), self.servers[who]),
        )

    async def schedule(self, who: int, number: int) -> None:
        found = await self._sql("SELECT max(id) FROM build_artifact_runs WHERE server_id = %s", self.servers[who])  # fmt: skip
        stage = ("canary", "live")[number % 2]
        await self.promotions.moves.schedule(
            self.owners[0], self.track, stage, Wanted(artifact_run_id=found[0][0])
        )

    async def move(self, _: int, number: int) -> None:
        """Do one of the things that people do with the newest promotion, or with the one before."""
        moves, owner = self.promotions.moves, self.owners[0]
        found = await moves.history(owner, track=self.track, limit=2)
        deeds: tuple[Callable[..., Awaitable[object]], ...] = (
            *(moves.approve, moves.approve, moves.reject),
            *(moves.roll_back, moves.hold, moves.release),
        )
        if found:
            item = found[number // 6 % len(found)]
            await deeds[number % 6](owner, item.promotion.id)

    async def crash(self, who: int, _: int) -> None:
        self.executor.crash()
        await self.reconcile(who)
        # Nobody waits here for the pause between two starts.
        await self._sql("UPDATE servers SET crashes = 0, last_crash_at = NULL WHERE id = %s", self.servers[who])  # fmt: skip

    async def review(self, _who: int, _: int) -> None:
        gate = Gate(self.database, [self.executor])
        await PolicyReview(self.database, gate)(None, {"all": True})  # type: ignore[arg-type]  # it asks nothing of its job

    async def lease(self, who: int, _: int) -> None:
        def write() -> None:
            held = store.deployment_in(self.servers[who], DeploymentState.PENDING)
            if held:
                candidate_store.add(self.servers[who], held.id, "somebody", 600)

        await self.database.run(write)

    async def unlease(self, who: int, _: int) -> None:
        await self._sql("DELETE FROM candidate_leases WHERE server_id = %s", self.servers[who])  # fmt: skip

    async def stop(self, who: int, _: int) -> None:
        await self.services[0].stop(self.owners[who], self.servers[who])

    async def begin_again(self, who: int, _: int) -> None:
        await self.services[0].start(self.owners[who], self.servers[who])

    # -- what must be so

    async def no_client_reaches_a_candidate(self) -> None:
        """Hold that no server routes to an instance that is only to be evaluated."""
        found = await self._sql(
            "SELECT s.name FROM servers s JOIN instances i ON i.deployment_id = s.deployment_id WHERE i.purpose <> 'serve'"
        )
        assert not found, f"clients of {found} are sent to a candidate"

    async def _sql(self, sql: str, *values: Any) -> list[Any]:
        def run() -> list[Any]:
            done = self.database.peewee.execute_sql(sql, values)
            return list(done.fetchall()) if done.description else []

        return await self.database.run(run)
