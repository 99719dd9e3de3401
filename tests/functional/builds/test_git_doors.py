"""Repositories behind a deploy key, and files that git-lfs keeps apart: fetched by the real programs."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.builds.checkout import Fetch
from appliance.builds.errors import BuildFailedError
from appliance.builds.git import access
from appliance.builds.limits import Limits
from appliance.builds.trees import write_private
from appliance.sources.credentials import Credential, CredentialKind
from appliance.sources.model import GitSource
from tests.fakes.git_http import GitServer
from tests.fakes.git_lfs import ATTRIBUTES, batch, object_store, pointer
from tests.fakes.git_ssh import new_key, ssh_server

CA = Path("/etc/ssl/certs/ca-certificates.crt")
LIMITS = Limits(10 * 1024**2, 100, 60)
LARGE = b"a large file" * 1000


async def fetch(
    source: GitSource, place: Path, *, key: str = "", known_hosts: str = ""
) -> Path:
    """Fetch a repository to ``place``, and return where its files are."""
    credential = (
        Credential(CredentialKind.DEPLOY_KEY, SecretStr(key), "") if key else None
    )
    way = access(source, place / "access", credential, known_hosts)
    await asyncio.to_thread(place.mkdir)
    await asyncio.to_thread(write_private, way.home, way.files)
    target = place / "checkout"
    await Fetch(source, target, way, CA, LIMITS, lambda _: None, "").run()
    return target


async def test_a_deploy_key_opens_its_repository_and_no_other_key_does(
    repositories: GitServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(repositories.add, "closed", {"main.py": "pass\n"})
    stranger = await asyncio.to_thread(new_key, tmp_path / "stranger")
    with ssh_server(tmp_path / "sshd") as server:
        source = GitSource(server.url(repositories.root / "closed"))

        opened = await fetch(source, tmp_path / "own", key=server.key)
        with pytest.raises(BuildFailedError) as other:
            await fetch(source, tmp_path / "other", key=stranger)
        with pytest.raises(BuildFailedError) as none:
            await fetch(source, tmp_path / "none")

    assert (opened / "main.py").read_text() == "pass\n"
    assert other.value.code == none.value.code == "repository_refused"
    assert "deploy key" in none.value.reason


async def test_a_host_that_shows_another_key_than_at_first_is_not_spoken_to(
    repositories: GitServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(repositories.add, "moved", {"main.py": "pass\n"})
    with ssh_server(tmp_path / "first") as server:
        source = GitSource(server.url(repositories.root / "moved"))
        await fetch(source, tmp_path / "before", key=server.key)
        seen = (tmp_path / "before" / "access" / "known_hosts").read_text()

    with (
        ssh_server(tmp_path / "second", port=server.port) as impostor,
        pytest.raises(BuildFailedError) as refused,
    ):
        await fetch(source, tmp_path / "after", key=impostor.key, known_hosts=seen)

    assert "host key" in refused.value.reason.lower()


async def test_large_files_are_fetched_where_that_was_chosen(
    repositories: GitServer, tmp_path: Path
) -> None:
    files = {".gitattributes": ATTRIBUTES, "model.bin": pointer(LARGE)}
    url = await asyncio.to_thread(repositories.add, "heavy", files)
    with object_store(LARGE) as (objects, address):
        repositories.large_files = partial(batch, objects, address)

        left_alone = await fetch(GitSource(url), tmp_path / "without")
        fetched = await fetch(GitSource(url, lfs=True), tmp_path / "with")

    assert (left_alone / "model.bin").read_text() == pointer(LARGE)
    assert (fetched / "model.bin").read_bytes() == LARGE


async def test_a_large_file_that_its_host_does_not_have_is_told(
    repositories: GitServer, tmp_path: Path
) -> None:
    files = {".gitattributes": ATTRIBUTES, "model.bin": pointer(LARGE)}
    url = await asyncio.to_thread(repositories.add, "lost", files)
    repositories.large_files = partial(batch, {}, "")

    with pytest.raises(BuildFailedError) as failed:
        await fetch(GitSource(url, lfs=True), tmp_path / "lost-files")

    assert "large files" in failed.value.reason
