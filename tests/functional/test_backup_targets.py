"""Every target keeps whole files by name: a directory, a real sshd with rsync, a stand-in for an S3 store."""

import hashlib
import shutil
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from appliance.backups.errors import TargetUnavailableError
from appliance.backups.targets.opening import open_target
from appliance.backups.targets.port import Kept, Target
from appliance.settings import Settings
from tests.fakes.git_ssh import ssh_server
from tests.fakes.object_store import ObjectStore, standing_in
from tests.harness.ports import free_port

NAME = "mcp-host-0a1b2c3d4e5f-20261122T010203Z.tar"
#: More than is sent to a store at once.
CONTENT = b"0123456789abcdef" * (17 * 1024**2 // 16)


def settings(**more: Any) -> Settings:
    return Settings(jwt_secret="s" * 32, **more)


@pytest.fixture(params=["directory", "ssh", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "directory":
        yield open_target(str(tmp_path / "there"), settings())
    elif request.param == "ssh":
        with ssh_server(tmp_path / "sshd") as server:
            yield over_ssh(tmp_path, server.port)
    else:
        store = ObjectStore("backups", "eu-1", "key", "secret")
        with standing_in(store, free_port()) as endpoint:
            yield open_target("s3://backups/mcp", in_store(endpoint, "secret"))


def over_ssh(home: Path, port: int) -> Target:
    (home / "there").mkdir()
    host_key = (home / "sshd" / "host.pub").read_text().split()[:2]
    known = home / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    return open_target(
        f"ssh://{getuser()}@127.0.0.1:{port}{home}/there",
        settings(
            backup_ssh_key_file=home / "sshd" / "deploy", backup_ssh_known_hosts=known
        ),
    )


def in_store(endpoint: str, secret: str) -> Settings:
    return settings(
        backup_s3_endpoint=endpoint,
        backup_s3_region="eu-1",
        backup_s3_access_key="key",
        backup_s3_secret_key=secret,
    )


def test_what_is_brought_is_listed_compared_fetched_and_removed(
    target: Target, tmp_path: Path
) -> None:
    seen: list[int] = []
    place = target.place(tmp_path)
    told = target.check()
    file = place / f".{NAME}"
    file.write_bytes(CONTENT)
    shutil.copy(file, tmp_path / "same")
    (tmp_path / "other").write_bytes(CONTENT[:-1] + b"x")
    digest = hashlib.sha256(CONTENT).hexdigest()

    target.put(file, NAME, seen.append)
    listed = target.names()
    is_same = target.same(tmp_path / "same", NAME, digest, seen.append)
    target.fetch(NAME, tmp_path / "back", seen.append)
    target.remove(NAME)
    target.remove(NAME)

    assert "can be written to" in told
    assert listed == [Kept(NAME, len(CONTENT))]
    assert is_same
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert target.names() == []


def test_what_arrived_otherwise_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "sent"
    file.write_bytes(b"as it was sent")
    digest = hashlib.sha256(b"as it was sent").hexdigest()
    store = ObjectStore("backups", "eu-1", "key", "secret")

    with ssh_server(tmp_path / "sshd") as server:
        there = over_ssh(tmp_path, server.port)
        there.put(file, NAME, lambda _: None)
        (tmp_path / "there" / NAME).write_bytes(b"as it was SENT")
        by_ssh = there.same(file, NAME, digest, lambda _: None)
    with standing_in(store, free_port()) as endpoint:
        bucket = open_target("s3://backups/mcp", in_store(endpoint, "secret"))
        bucket.put(file, NAME, lambda _: None)
        store.objects[f"mcp/{NAME}"] = b"as it was SENT"
        in_bucket = bucket.same(file, NAME, digest, lambda _: None)

    assert (by_ssh, in_bucket) == (False, False)


def test_a_target_that_lets_nobody_in_says_so_in_a_sentence(tmp_path: Path) -> None:
    store = ObjectStore("backups", "eu-1", "key", "secret")
    with standing_in(store, free_port()) as endpoint:
        stranger = open_target("s3://backups/mcp", in_store(endpoint, "wrong"))
        with pytest.raises(TargetUnavailableError, match="SignatureDoesNotMatch"):
            stranger.check()
    with ssh_server(tmp_path / "sshd") as server:
        unknown = open_target(
            f"ssh://127.0.0.1:{server.port}/srv",
            settings(backup_ssh_known_hosts=tmp_path / "nobody"),
        )
        with pytest.raises(TargetUnavailableError, match="Host key verification"):
            unknown.check()
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnavailableError, match="file: "):
        open_target(str(tmp_path / "file"), settings()).check()
