"""A worker in a process of its own, which tests kill: ``python -m tests.fakes.job_process URL``.

Every run notes its beginning and its end in the table ``runs``, each in a transaction of its own, as an effect on the
outside would be.
"""

import asyncio
import random
import sys
from collections.abc import Mapping
from typing import Any

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.jobs.worker import JobWorker, Timing

KINDS = [f"kind-{number}" for number in range(8)]
TABLE = """
CREATE TABLE runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    lane text,
    worker text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
)
"""
_BEGIN = "INSERT INTO runs (job_id, lane, worker) VALUES (%s, %s, %s) RETURNING id"
_END = "UPDATE runs SET ended_at = clock_timestamp() WHERE id = %s"


async def main(url: str) -> None:
    """Work until killed."""
    database = Database(url, size=4)

    async def handle(context: JobContext, payload: Mapping[str, Any]) -> None:
        job = context.job
        values = (job.id, job.lane, job.worker)
        (run,) = await database.run(
            lambda: database.peewee.execute_sql(_BEGIN, values).fetchone()
        )
        is_held = payload.get("hold_first_run") and job.attempt == 1
        await asyncio.sleep(3600 if is_held else random.uniform(0.01, 0.1))
        await database.run(database.peewee.execute_sql, _END, (run,))

    timing = Timing(lease_s=2.0, heartbeat_s=0.5, poll_s=0.3)
    worker = JobWorker(
        database, dict.fromkeys(KINDS, handle), concurrency=6, timing=timing
    )
    await worker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
