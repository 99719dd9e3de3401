"""Evidence as people, programs and the page see it."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from appliance.accounts.model import SYSTEM
from appliance.artifacts.model import ATTEST
from appliance.core.errors import DomainError
from appliance.core.images import PlatformImage
from appliance.evidence.tables import DocumentRow
from appliance.infra.database import Database
from tests.engine import docker
from tests.fakes.runs import AMD, finished
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal
from tests.harness import pages

Client = TestClient[Any, Any]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformImage]:
    """An image of one file."""
    context = tmp_path_factory.mktemp("context")
    (context / "server").write_text("a server")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY server /server\n")
    tag = f"mcp-host-test/{secrets.token_hex(4)}:1"
    docker("buildx", "build", "--builder", "default", "--load", "-q", "-t", tag, str(context))  # fmt: skip
    yield PlatformImage(AMD, docker("image", "inspect", "-f", "{{.Id}}", tag), tag)
    docker("rmi", "-f", tag)


@pytest.fixture
async def run_id(hub: Hub, image: PlatformImage) -> int:
    """A run of this box alone, with its evidence."""
    run = replace(finished(), images=(image,), published=None)
    found = await hub.database.run(hub.services.ledger.record, run)
    await hub.services.evidence.attest(found)
    return found


async def test_evidence_is_listed_and_downloaded(
    admin: Client, run_id: int, image: PlatformImage
) -> None:
    listed = await (await admin.get(f"/api/artifacts/{run_id}/evidence")).json()
    fetched = await admin.get(listed["documents"][1]["path"])

    assert (listed["state"], listed["error"]) == ("local", "")
    assert [(item["kind"], item["platform"]) for item in listed["documents"]] == [
        ("provenance", ""),
        ("sbom", AMD),
    ]
    assert listed["documents"][0]["subjects"][0]["digest"] == image.image_id
    assert fetched.status == 200
    assert fetched.content_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert "linux-amd64.sbom.sigstore.json" in fetched.headers["Content-Disposition"]
    assert json.loads(await fetched.read())["mediaType"] == fetched.content_type


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/evidence/sbom?platform=linux/s390x", 404),
        ("/evidence/recipe", 404),
        ("/evidence/sbom", 200),
        ("9/evidence", 404),
    ],
)
async def test_what_is_not_there_is_not_found(
    admin: Client, run_id: int, path: str, status: int
) -> None:
    assert (await admin.get(f"/api/artifacts/{run_id}{path}")).status == status


async def test_whoever_may_not_know_of_a_run_gets_no_evidence_of_it(
    maintainer: Client, reader: Client, stranger: Client, run_id: int
) -> None:
    for path in ("", "/sbom", "/provenance"):
        url = f"/api/artifacts/{run_id}/evidence{path}"
        assert (await maintainer.get(url)).status == 404  # nobody owns it
        assert (await reader.get(url)).status == 200
        assert (await stranger.get(url)).status == 401
    retry = f"/api/artifacts/{run_id}/evidence/retry"
    assert (await reader.post(retry)).status == 403
    assert (await maintainer.post(retry)).status == 404
    assert (await reader.post("/api/evidence/keys")).status == 403
    assert (await stranger.get("/api/evidence/key")).status == 401


async def test_a_retry_is_a_job_and_in_the_trail(
    hub: Hub, admin: Client, run_id: int
) -> None:
    answer = await admin.post(f"/api/artifacts/{run_id}/evidence/retry")

    assert answer.status == 202
    assert (await answer.json())["state"] == "pending"
    (job,) = await hub.services.jobs.list(kind=ATTEST)
    assert job.payload == {"run_id": run_id}
    assert (await hub.services.audit.list(action="evidence.retry"))[
        0
    ].object_id == run_id


async def test_a_run_that_made_no_image_has_nothing_to_retry(
    hub: Hub, admin: Client
) -> None:
    run = replace(finished(2), images=(), published=None)
    empty = await hub.database.run(hub.services.ledger.record, run)

    answer = await admin.post(f"/api/artifacts/{empty}/evidence/retry")

    assert answer.status == 409
    assert (await answer.json())["code"] == "evidence_nothing_built"


async def test_the_key_is_given_out_exchanged_and_kept(hub: Hub, admin: Client) -> None:
    before = await (await admin.get("/api/evidence/key")).text()

    made = await (await admin.post("/api/evidence/keys")).json()

    after = await (await admin.get("/api/evidence/key")).text()
    listed = (await (await admin.get("/api/evidence/keys")).json())["items"]
    assert before.startswith("-----BEGIN PUBLIC KEY-----")
    assert (made["pem"], len({before, after})) == (after, 2)
    assert {item["pem"] for item in listed} == {before, after}
    old = next(item for item in listed if item["retired_at"])
    kept = await admin.get(f"/api/evidence/key?id={old['id']}")
    assert await kept.text() == before
    assert (await admin.get("/api/evidence/key?id=none")).status == 422
    trail = await hub.services.audit.list(action="evidence.rotate_key")
    assert trail[0].object_name == made["id"]


# -- mcpctl


@pytest.fixture
async def terminal(hub: Hub, tmp_path: Path) -> Terminal:
    """A terminal of an administrator."""
    found = Terminal(hub, tmp_path)
    found.show_key(await hub.person("admin@example.org"))
    return found


async def test_mcpctl_fetches_shows_and_verifies(
    terminal: Terminal, run_id: int, tmp_path: Path, image: PlatformImage
) -> None:
    shown = await terminal.run("evidence", "show", str(run_id), "--json")
    written = await terminal.run("evidence", "get", str(run_id), "--dir", str(tmp_path))
    key = tmp_path / "key.pem"
    key.write_text((await terminal.run("evidence", "key")).out)
    files = written.out.split()

    alone = await terminal.run("verify", *files, "--key", str(key), "--digest", image.image_id)  # fmt: skip
    by_id = await terminal.run("verify", str(run_id), "--json")

    assert shown.json()["state"] == "local"
    assert len(files) == 2
    assert alone.code == 0, alone.err
    assert by_id.code == 0, by_id.err
    assert len(by_id.json()["items"]) == 2


async def test_mcpctl_notices_evidence_that_is_missing_or_changed(
    terminal: Terminal, hub: Hub, run_id: int
) -> None:
    def tamper() -> None:
        row = DocumentRow.get(DocumentRow.kind == "sbom")
        bundle = json.loads(bytes(row.bundle))
        bundle["dsseEnvelope"]["payload"] = "e30="
        row.bundle = json.dumps(bundle).encode()
        row.save()
        DocumentRow.delete().where(DocumentRow.kind == "provenance").execute()

    await hub.database.run(tamper)

    done = await terminal.run("verify", str(run_id), "--json")

    assert done.code == 1
    codes = {item["name"]: item["code"] for item in done.json()["items"]}
    assert codes == {"sbom linux/amd64": "bad_signature", "provenance": "missing"}


async def test_mcpctl_notices_evidence_of_another_image(
    terminal: Terminal, hub: Hub, run_id: int, image: PlatformImage
) -> None:
    other = replace(image, image_id=f"sha256:{'0' * 64}")
    run = replace(finished(5), images=(other,), published=None)
    second = await hub.database.run(hub.services.ledger.record, run)

    def move() -> None:
        DocumentRow.update(run_id=second).execute()

    await hub.database.run(move)

    done = await terminal.run("verify", str(second), "--json")

    assert run_id != second
    assert {item["code"] for item in done.json()["items"]} == {"wrong_digest"}


# -- the page


@pytest.fixture
async def site(database: Database) -> AsyncIterator[pages.Hub]:
    async with pages.hub(database) as running:
        yield running


async def test_the_page_says_what_is_missing_and_tries_again(site: pages.Hub) -> None:
    await site.sign_in()
    found = await site.database.run(site.services.ledger.record, finished())
    fresh = await site.page(f"/marketplace/{found}")
    with suppress(DomainError):  # its images were never on this box
        await site.services.evidence.attest(found)

    failed = await site.page(f"/marketplace/{found}")
    answer = await site.post(f"/marketplace/{found}/evidence")
    part = await site.page(f"/marketplace/{found}/evidence")

    assert "It is made in the background" in fresh
    assert "Evidence is missing: The image" in failed
    assert "Try again" in failed
    assert "Provenance" in failed
    assert answer.status in {200, 303}
    assert 'hx-trigger="every 2s"' in part
    assert "Try again" not in part


async def test_the_page_gives_the_line_that_verifies(
    site: pages.Hub, image: PlatformImage
) -> None:
    await site.sign_in()
    run = replace(finished(), images=(image,), published=None)
    found = await site.database.run(site.services.ledger.record, run)
    await site.services.evidence.attest(found)

    text = await site.page(f"/marketplace/{found}")

    assert "Bill of materials" in text
    line = f"mcpctl verify run-{found}.provenance.sigstore.json --key key.pem --digest {image.image_id}"
    assert line in text
    view = await site.services.evidence.view(SYSTEM, found)
    assert view.documents[0].file_name in line
