"""Fills a ledger's servers with deployments, certifications and promotions, and takes the time of decisions about them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from appliance.infra.database import Database, connect, connection_arguments
from appliance.policy.model import Purpose, Verdict
from appliance.servers import store
from appliance.servers.gate import Gate
from appliance.servers.model import Deployment, Server
from tests.bench.marketplace import Percentiles, times_of
from tests.fakes.executor import IdleExecutor

# Of each server the newest build that succeeded is what it is to run.
_DEPLOYMENTS = """
INSERT INTO deployments (id, server_id, number, state, source, config, image, resolved, requested_by, trigger)
SELECT DISTINCT ON (server_id) id, server_id, 1, 'pending', source, '{}', local_image, '{}', 'bench', 'create'
FROM build_artifact_runs WHERE status = 'succeeded' ORDER BY server_id, id DESC
"""
# Two requirements each; of a fifth of the servers the first has expired, and of another it was never looked at.
_CERTIFICATIONS = """
INSERT INTO evaluation_certifications (artifact_run_id, server_id, server_name, owner_id, manifest_digest, tier,
    policy_requirement, status, evidence, note, valid_from, valid_until, warn_days, origin, certified_by, version,
    created_at, updated_at)
SELECT r.id, r.server_id, r.server_name, s.owner_id, r.manifest_digest, 'gold:' || lower(r.server_type), q.name,
    CASE WHEN q.name = 'smoke' AND r.server_id % 5 = 1 THEN 'pending' ELSE 'pass' END, '{"score": 1}', '',
    now() - interval '9 days', CASE WHEN q.name = 'smoke' AND r.server_id % 5 = 2 THEN now() - interval '1 day' END,
    7, 'person', 'bench', 1, now(), now()
FROM deployments d JOIN build_artifact_runs r ON r.id = d.id JOIN servers s ON s.id = d.server_id
CROSS JOIN (VALUES ('smoke'), ('security-review')) q (name)
"""
_SOURCES = (
    "UPDATE servers s SET source = d.source FROM deployments d WHERE d.server_id = s.id"
)
_TRACK = """
INSERT INTO promotion_tracks (id, name, description, tier, owner_id, allow_self, version, created_by)
SELECT n, 'track-' || n, '', '*', n, false, 1, 'bench' FROM generate_series(1, 50) AS n
"""
RULES = {
    "version": 1,
    "rules": [
        {
            "kind": "require-certification",
            "tiers": ["gold:*"],
            "requirements": ["smoke", "security-review"],
        },
        {
            "kind": "require-certification",
            "tiers": ["silver:*"],
            "requirements": ["smoke"],
            "on_expiry": "stop",
        },
        {"kind": "require-promotion", "tiers": ["*:git"]},
        {"kind": "require-platforms", "platforms": ["linux/amd64"]},
        {"kind": "require-isolation", "tiers": ["watchlist:*"], "isolation": "vm"},
        {"kind": "prefer-backend", "backend": "docker"},
        {"kind": "deny-source", "sources": ["npm:@banned/*", "git:http://*"]},
    ],
}


@dataclass(frozen=True)
class Subject:
    """What is decided about."""

    server: Server
    deployment: Deployment


def govern(url: str) -> tuple[int, int]:
    """Add deployments, certifications and tracks to hosted servers; return how many certifications and runs there are."""
    with closing(connect(connection_arguments(url))) as connection:
        cursor = connection.cursor()
        for statement in (
            _DEPLOYMENTS,
            _SOURCES,
            _CERTIFICATIONS,
            _TRACK,
            "VACUUM ANALYZE",
        ):
            cursor.execute(statement)
        cursor.execute(
            "SELECT (SELECT count(*) FROM evaluation_certifications), (SELECT count(*) FROM build_artifact_runs)"
        )
        row = cursor.fetchone() or (0, 0)
    return int(row[0]), int(row[1])


def subjects(database: Database, limit: int) -> list[Subject]:
    """Return servers with what they are to run."""

    def read() -> list[Subject]:
        ids = store.all_ids()[:limit]
        pending = store.deployments_in(ids)
        return [Subject(store.get(item), pending[item]) for item in ids]

    return database.run_blocking(read)


async def decided(
    database: Database, asked: Sequence[Subject], count: int
) -> tuple[Percentiles, dict[Verdict, int]]:
    """Return what ``count`` decisions took, each gathered, made and stored; and how they went."""
    gate = Gate(database, [IdleExecutor()])
    await gate.executors()
    verdicts: dict[Verdict, int] = {}

    async def decide(number: int) -> None:
        item = asked[number % len(asked)]
        ruling = await gate.rule(item.server, item.deployment, Purpose.SERVE)
        verdict = ruling.decision.verdict
        verdicts[verdict] = verdicts.get(verdict, 0) + 1

    return await times_of(decide, count), verdicts
