"""Evidence of runs in a real ledger, about real images, in a real registry."""

import asyncio
import base64
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from appliance.accounts.model import SYSTEM
from appliance.artifacts.model import ATTEST
from appliance.artifacts.service import LedgerService
from appliance.builds.model import BuildState
from appliance.builds.ports import FinishedRun
from appliance.core.clock import now
from appliance.core.digests import digest_of
from appliance.core.errors import DomainError
from appliance.core.images import PlatformImage, Published, PublishedPlatform
from appliance.evidence import store
from appliance.evidence.attaching import Attacher
from appliance.evidence.errors import ImageGoneError, OtherRegistryError
from appliance.evidence.image_files import ImageFiles
from appliance.evidence.keys import SigningKeys
from appliance.evidence.making import Maker
from appliance.evidence.model import Document, Kind, State
from appliance.evidence.service import EvidenceService
from appliance.evidence.tables import DocumentRow
from appliance.evidence.tasks import PATIENCE, AttestTask, seconds_to_retry
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.errors import EngineUnavailableError
from appliance.infra.sealing import Sealer, UnsealError
from appliance.jobs.model import Again
from appliance.jobs.queue import JobQueue
from appliance.registry.client import RegistryClient
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import OCI_INDEX, OCI_MANIFEST
from appliance.sources.model import Ecosystem, PackageSource
from tests.engine import Box, box, docker, engine
from tests.harness.busybox import busybox
from tests.harness.registry import Registry, registry
from tests.harness.waiting import until

__all__ = ["box", "engine"]

PLATFORMS = ("linux/amd64", "linux/arm64")
SECRET = secrets.token_bytes(32)
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"


@pytest.fixture(scope="module")
def images(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PlatformImage, ...]]:
    """An image of a single program for each platform."""
    made = []
    for platform in PLATFORMS:
        context = tmp_path_factory.mktemp("context")
        (context / "busybox").write_bytes(busybox(platform).read_bytes())
        (context / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/busybox\n")
        tag = f"mcp-host-test/{secrets.token_hex(4)}:1"
        docker(
            "buildx", "build", "--builder", "default", "--load", "-q",
            "--platform", platform, "-t", tag, str(context),
        )  # fmt: skip
        image_id = docker("image", "inspect", "--format", "{{.Id}}", tag)
        made.append(PlatformImage(platform, image_id, tag))
    yield tuple(made)
    docker("rmi", "-f", *(item.tag for item in made))


@pytest.fixture(scope="module")
def running() -> Iterator[Registry]:
    """A registry without the referrers API."""
    with registry() as found:
        yield found


@pytest.fixture
async def client(running: Registry) -> AsyncIterator[RegistryClient]:
    """A client of it."""
    async with aiohttp.ClientSession() as session:
        yield RegistryClient(session, running.host, plain=True)


async def publish(client: RegistryClient, repository: str) -> Published:
    """Put a list of two small images into the registry, as a build would have."""
    platforms = []
    for platform in PLATFORMS:
        system, architecture = platform.split("/")
        layer = secrets.token_bytes(64)
        config = json.dumps({"os": system, "architecture": architecture}).encode()
        for blob in (layer, config):
            await client.put_blob(repository, blob)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": described(OCI_CONFIG, config),
                "layers": [described("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        ).encode()
        digest = digest_of(manifest)
        await client.put_manifest(repository, digest, manifest, OCI_MANIFEST)
        platforms.append((platform, digest, manifest))
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                described(OCI_MANIFEST, manifest)
                | {"platform": {"os": "linux", "architecture": name.split("/")[1]}}
                for name, _, manifest in platforms
            ],
        }
    ).encode()
    await client.put_manifest(repository, "v1", index, OCI_INDEX)
    return Published(
        f"{client.host}/{repository}",
        "v1",
        digest_of(index),
        is_multi_arch=True,
        platforms=tuple(
            PublishedPlatform(name, f"{client.host}/{repository}@{digest}", digest)
            for name, digest, _ in platforms
        ),
    )


def described(media_type: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}


@dataclass
class Archive:
    """The evidence service over a real ledger."""

    database: Database
    ledger: LedgerService
    evidence: EvidenceService
    keys: SigningKeys
    images: tuple[PlatformImage, ...]
    url: str = ""
    builds: list[int] = field(default_factory=lambda: [0])

    async def record(
        self,
        published: Published | None = None,
        images: tuple[PlatformImage, ...] | None = None,
    ) -> int:
        """Write a run into the ledger and return its id."""
        self.builds[0] += 1
        run = FinishedRun(
            build_id=self.builds[0],
            deployment_id=self.builds[0],
            attempt=1,
            server_id=1,
            server_name="clock",
            source=PackageSource(Ecosystem.PYPI, "clockwork", "1.5"),
            status=BuildState.SUCCEEDED,
            error="",
            revision="1.5",
            local_image="mcp-host/clock:0a-1",
            images=self.images if images is None else images,
            published=published,
            started_at=datetime(2026, 11, 21, 8, tzinfo=UTC),
            completed_at=datetime(2026, 11, 21, 8, self.builds[0], tzinfo=UTC),
        )
        return await self.database.run(self.ledger.record, run)

    async def documents(self, run_id: int) -> list[tuple[Document, bytes]]:
        """Return everything of a run."""
        view = await self.evidence.view(SYSTEM, run_id)
        found = [
            await self.evidence.bundle(SYSTEM, run_id, item.kind, item.platform)
            for item in view.documents
        ]
        return [(item.document, item.content) for item in found]

    async def statement(
        self, run_id: int, kind: Kind, platform: str = ""
    ) -> dict[str, Any]:
        """Return what a document says, after checking its signature with the public key."""
        found = await self.evidence.bundle(SYSTEM, run_id, kind, platform)
        return opened(found.content, (await self.keys.current()).pem)


def opened(bundle: bytes, pem: str) -> dict[str, Any]:
    """Check a bundle by hand, from the specification, and return its statement."""
    data = json.loads(bundle)
    envelope = data["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed = b" ".join(
        [b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    )
    key: Any = load_pem_public_key(pem.encode())
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
    found: dict[str, Any] = json.loads(payload)
    return found


def service(
    database: Database,
    engine: Engine,
    box: Box,
    *,
    attacher: Attacher | None,
    secret: bytes = SECRET,
) -> tuple[LedgerService, SigningKeys, EvidenceService]:
    ledger = LedgerService(database, servers=lambda _ids: {}, targets=PLATFORMS)
    keys = SigningKeys(database, Sealer(secret))
    evidence = EvidenceService(
        database,
        ledger=ledger,
        keys=keys,
        maker=Maker(
            ImageFiles(engine, owner=box.owner),
            keys,
            installation=box.owner,
            version="0.1.0",
        ),
        attacher=attacher,
        builder="default",
    )
    return ledger, keys, evidence


@pytest.fixture
def archive(  # noqa: PLR0917 - what it is made of
    database: Database,
    database_url: str,
    engine: Engine,
    box: Box,
    client: RegistryClient,
    images: tuple[PlatformImage, ...],
) -> Archive:
    """Evidence over a fresh ledger."""
    ledger, keys, evidence = service(
        database, engine, box, attacher=Attacher(lambda: client)
    )
    return Archive(database, ledger, evidence, keys, images, database_url)


def skopeo(*arguments: str) -> Any:
    """Ask the registry with a program that nobody here wrote."""
    done = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- what is made


async def test_a_run_without_a_registry_is_attested_by_local_image_ids(
    archive: Archive,
) -> None:
    run_id = await archive.record()

    state = await archive.evidence.attest(run_id)

    assert state is State.LOCAL
    said = await archive.statement(run_id, Kind.PROVENANCE)
    assert [item["digest"]["sha256"] for item in said["subject"]] == [
        image.image_id.removeprefix("sha256:") for image in archive.images
    ]
    assert said["predicate"]["buildDefinition"]["externalParameters"] == {
        "source": {
            "kind": "package",
            "ecosystem": "pypi",
            "name": "clockwork",
            "version": "1.5",
        },
        "platforms": list(PLATFORMS),
    }
    bill = await archive.statement(run_id, Kind.SBOM, "linux/arm64")
    program = busybox("linux/arm64").read_bytes()
    assert bill["predicate"]["components"][0]["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(program).hexdigest()}
    ]


async def test_a_run_without_an_image_has_no_evidence(archive: Archive) -> None:
    run_id = await archive.record(images=())

    assert await archive.evidence.attest(run_id) is None
    assert (await archive.evidence.view(SYSTEM, run_id)).documents == ()


async def test_an_image_that_is_gone_is_told_and_the_rest_is_made_all_the_same(
    archive: Archive,
) -> None:
    gone = replace(archive.images[0], image_id=f"sha256:{'0' * 64}")
    run_id = await archive.record(images=(gone, archive.images[1]))

    with pytest.raises(ImageGoneError):
        await archive.evidence.attest(run_id)

    view = await archive.evidence.view(SYSTEM, run_id)
    assert view.state is State.FAILED
    assert "no longer on this box" in view.issues[0]
    assert {(item.kind, item.platform) for item in view.documents} == {
        (Kind.SBOM, "linux/arm64"),
        (Kind.PROVENANCE, ""),
    }


# -- in a registry


async def test_evidence_is_found_beside_the_list_and_every_platform(
    archive: Archive, client: RegistryClient
) -> None:
    published = await publish(client, "team/found")
    run_id = await archive.record(published)

    state = await archive.evidence.attest(run_id)

    assert state is State.ATTACHED
    pem = (await archive.keys.current()).pem
    expected = {published.digest: 3, **{item.digest: 2 for item in published.platforms}}
    for digest, count in expected.items():
        tag = digest.replace(":", "-")
        index = await asyncio.to_thread(
            skopeo, f"docker://{published.repository}:{tag}"
        )
        assert index["mediaType"] == OCI_INDEX
        assert len(index["manifests"]) == count
        for item in index["manifests"]:
            assert (
                item["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
            )
            manifest = await asyncio.to_thread(
                skopeo, f"docker://{published.repository}@{item['digest']}"
            )
            assert manifest["subject"]["digest"] == digest
            (layer,) = manifest["layers"]
            bundle = await client.blob("team/found", layer["digest"])
            said = opened(bundle, pem)
            subjects = {
                f"sha256:{item['digest']['sha256']}" for item in said["subject"]
            }
            assert digest in subjects


async def test_attesting_twice_changes_nothing(
    archive: Archive, client: RegistryClient, running: Registry
) -> None:
    published = await publish(client, "team/twice")
    run_id = await archive.record(published)
    await archive.evidence.attest(run_id)
    before = await archive.evidence.view(SYSTEM, run_id)
    tags = {
        tag: running.manifest("team/twice", tag) for tag in running.tags("team/twice")
    }

    await archive.evidence.attest(run_id)

    after = await archive.evidence.view(SYSTEM, run_id)
    assert (after.documents, after.referrers) == (before.documents, before.referrers)
    assert tags == {
        tag: running.manifest("team/twice", tag) for tag in running.tags("team/twice")
    }


async def test_two_hubs_that_write_one_index_at_once_lose_nothing(
    archive: Archive, client: RegistryClient
) -> None:
    published = await publish(client, "team/race")
    runs = [await archive.record(published) for _ in range(3)]
    archive.evidence._attacher = None  # each is only made here
    for run_id in runs:
        with pytest.raises(OtherRegistryError):
            await archive.evidence.attest(run_id)
    documents = [await archive.documents(run_id) for run_id in runs]

    # Three attachers know nothing of each other, as three hubs would.
    attached = await asyncio.gather(
        *(Attacher(lambda: client).attach(published, found) for found in documents)
    )

    tag = published.digest.replace(":", "-")
    index = json.loads((await client.manifest("team/race", tag)).body)
    ours = {
        item.digest
        for found in attached
        for item in found
        if item.subject == published.digest
    }
    assert {item["digest"] for item in index["manifests"]} == ours
    assert len(ours) == 9


async def test_what_others_attached_stays(
    archive: Archive, client: RegistryClient
) -> None:
    published = await publish(client, "team/others")
    theirs = described(OCI_MANIFEST, b"{}") | {"annotations": {"by": "somebody"}}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
    tag = published.digest.replace(":", "-")
    # A registry takes only manifests that it has into an index, so one of the platforms stands for theirs.
    theirs["digest"] = published.platforms[0].digest
    theirs["size"] = len((await client.manifest("team/others", theirs["digest"])).body)
    body = json.dumps(json.loads(index) | {"manifests": [theirs]}).encode()
    await client.put_manifest("team/others", tag, body, OCI_INDEX)

    await archive.evidence.attest(await archive.record(published))

    found = json.loads((await client.manifest("team/others", tag)).body)["manifests"]
    assert found[0] == theirs
    assert len(found) == 4


async def test_an_image_in_another_registry_than_ours_is_told(
    archive: Archive, client: RegistryClient
) -> None:
    published = await publish(client, "team/elsewhere")
    moved = replace(published, repository="old.example.org/team/elsewhere")
    run_id = await archive.record(moved)

    with pytest.raises(OtherRegistryError):
        await archive.evidence.attest(run_id)

    assert "old.example.org" in (await archive.evidence.view(SYSTEM, run_id)).error


async def test_a_registry_that_is_away_is_told_and_tried_again(
    archive: Archive,
) -> None:
    with registry() as other:
        async with aiohttp.ClientSession() as session:
            there = RegistryClient(session, other.host, plain=True)
            published = await publish(there, "team/away")
            archive.evidence._attacher = Attacher(lambda: there)
            run_id = await archive.record(published)
            other.stop()
            fresh: Any = SimpleNamespace(job=SimpleNamespace(created_at=now()))
            task = AttestTask(archive.evidence)

            again = await task(fresh, {"run_id": run_id})

            failed = await archive.evidence.view(SYSTEM, run_id)
            other.start()
            await task(fresh, {"run_id": run_id})
            good = await archive.evidence.view(SYSTEM, run_id)

    assert again == Again(60.0)
    assert failed.state is State.FAILED
    assert len(failed.documents) == 3  # made, and kept for the next try
    assert good.state is State.ATTACHED
    assert good.error == ""


async def test_who_stays_away_is_not_waited_for_for_ever(archive: Archive) -> None:
    with registry() as other:
        async with aiohttp.ClientSession() as session:
            there = RegistryClient(session, other.host, plain=True)
            run_id = await archive.record(await publish(there, "team/gone"))
            archive.evidence._attacher = Attacher(lambda: there)
            other.stop()
            old: Any = SimpleNamespace(
                job=SimpleNamespace(created_at=now() - 2 * PATIENCE)
            )

            with pytest.raises(RegistryError):
                await AttestTask(archive.evidence)(old, {"run_id": run_id})


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (RegistryError(ErrorKind.RATE_LIMITED, "slow", retry_after_s=7), 7),
        (RegistryError(ErrorKind.DENIED, "no"), None),
        (EngineUnavailableError("away"), 60),
        (ImageGoneError("gone"), None),
    ],
)
def test_only_what_may_pass_is_tried_again(
    error: DomainError, wait_s: float | None
) -> None:
    assert seconds_to_retry(error) == wait_s


# -- killed in the middle


async def test_a_worker_that_is_killed_at_any_step_leaves_one_whole_set(
    archive: Archive, client: RegistryClient, running: Registry, box: Box
) -> None:
    published = await publish(client, "team/killed")
    run_id = await archive.record(published)
    queue = JobQueue(archive.database)
    await queue.enqueue(ATTEST, {"run_id": run_id}, lane=f"artifact:{run_id}")
    tag = published.digest.replace(":", "-")

    def documents() -> int:
        return int(
            archive.database.run_blocking(
                lambda: DocumentRow.select().where(DocumentRow.run_id == run_id).count()
            )
        )

    def is_done() -> bool:
        view = archive.database.run_blocking(store.view, run_id)
        return view.state is State.ATTACHED

    steps: list[Callable[[], bool]] = [
        lambda: bool(box.containers()),
        lambda: documents() == 1,
        lambda: documents() == 3,
        lambda: tag in running.tags("team/killed"),
        is_done,
    ]
    for step in steps:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.evidence_process",
            archive.url, box.owner, client.host, SECRET.hex(),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await until(partial(asyncio.to_thread, step))
        finally:
            worker.kill()
            await worker.wait()

    view = await archive.evidence.view(SYSTEM, run_id)
    index = json.loads((await client.manifest("team/killed", tag)).body)
    assert len(view.documents) == 3
    assert {item["digest"] for item in index["manifests"]} == {
        item.digest for item in view.referrers if item.subject == published.digest
    }
    assert box.containers() == []
    for item in view.documents:
        await archive.statement(run_id, item.kind, item.platform)


# -- keys


async def test_the_private_key_is_sealed_and_opens_only_with_the_same_secret(
    archive: Archive, engine: Engine, box: Box
) -> None:
    run_id = await archive.record()
    await archive.evidence.attest(run_id)
    _, _, stranger = service(
        archive.database, engine, box, attacher=None, secret=secrets.token_bytes(32)
    )

    with pytest.raises(UnsealError):
        await stranger.attest(await archive.record())


async def test_old_evidence_is_good_after_the_key_was_exchanged(
    archive: Archive,
) -> None:
    run_id = await archive.record()
    await archive.evidence.attest(run_id)
    before = await archive.keys.current()

    after = await archive.evidence.rotate_key(SYSTEM)

    found = await archive.evidence.bundle(SYSTEM, run_id, Kind.PROVENANCE)
    assert after.id != before.id
    assert {item.id for item in await archive.evidence.keys()} == {before.id, after.id}
    kept = next(item for item in await archive.evidence.keys() if item.id == before.id)
    assert kept.retired_at is not None
    assert (
        opened(found.content, kept.pem)["predicateType"]
        == "https://slsa.dev/provenance/v1"
    )
    newer = await archive.record()
    await archive.evidence.attest(newer)
    view = await archive.evidence.view(SYSTEM, newer)
    assert {item.key_id for item in view.documents} == {after.id}


async def test_hubs_that_need_a_key_at_once_agree_on_one(archive: Archive) -> None:
    found = await asyncio.gather(*(archive.keys.current() for _ in range(8)))

    assert len({item.id for item in found}) == 1
    assert len(await archive.keys.all()) == 1
