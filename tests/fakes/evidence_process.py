"""A worker that makes evidence, in a process of its own, which tests kill.

Started as ``python -m tests.fakes.evidence_process DATABASE_URL OWNER REGISTRY_HOST SECRET``.
"""

import asyncio
import sys

import aiohttp

from appliance.artifacts.model import ATTEST
from appliance.artifacts.service import LedgerService
from appliance.evidence.attaching import Attacher
from appliance.evidence.image_files import ImageFiles
from appliance.evidence.keys import SigningKeys
from appliance.evidence.making import Maker
from appliance.evidence.service import EvidenceService
from appliance.evidence.tasks import AttestTask
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.sealing import Sealer
from appliance.jobs.worker import JobWorker, Timing
from appliance.registry.client import RegistryClient


async def main(url: str, owner: str, host: str, secret: str) -> None:
    """Work until killed."""
    database = Database(url, size=4)
    async with aiohttp.ClientSession() as session:
        client = RegistryClient(session, host, plain=True)
        keys = SigningKeys(database, Sealer(bytes.fromhex(secret)))
        files = ImageFiles(Engine(), owner=owner)
        evidence = EvidenceService(
            database,
            ledger=LedgerService(database, servers=lambda _ids: {}, targets=()),
            keys=keys,
            maker=Maker(files, keys, installation=owner, version="0.1.0"),
            attacher=Attacher(lambda: client),
            builder="default",
        )
        timing = Timing(lease_s=2.0, heartbeat_s=0.5, poll_s=0.2)
        worker = JobWorker(database, {ATTEST: AttestTask(evidence)}, timing=timing)
        await worker.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
