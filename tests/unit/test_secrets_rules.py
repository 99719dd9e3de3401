"""What secrets may be called, how they are sealed, and how they get into a program's environment."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from appliance.infra.memory_files import (
    MemoryFiles,
    NoMemoryError,
    in_memory,
    memory_root,
)
from appliance.infra.static_shell import is_static, static_shell
from appliance.runtimes import secret_entry
from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.model import SecretValue
from appliance.runtimes.secret_entry import ImageProgram, SecretPlaces
from appliance.secrets import envelope
from appliance.secrets.envelope import KeyRing, Place
from appliance.secrets.errors import (
    MasterKeyError,
    SealBrokenError,
    SecretInvalidError,
)
from appliance.secrets.hiding import hidden_of
from appliance.secrets.master import MasterKeys
from appliance.secrets.model import MAX_VALUE_BYTES
from appliance.secrets.naming import check_name, check_value

PLACE = Place(7, "API_KEY", 1)
TOKEN = SecretValue("TOKEN", SecretStr("t"))
FILE = SecretValue("CERTIFICATE", SecretStr("c"), in_environment=False)
PLACES = SecretPlaces(Path("/memory/given/one"), Path("/bin/busybox"))
MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
24 22 0:21 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
25 22 0:22 / /run rw,nosuid - tmpfs tmpfs rw,size=10%
26 25 254:0 / /run/disk rw - ext4 /dev/vda rw
27 22 0:23 / /with\\040space rw - ramfs none rw
"""


def ring(*ids: str) -> KeyRing:
    return KeyRing(ids[-1], {name: name.encode() * 8 for name in ids})


# -- sealing


def test_what_is_sealed_opens_where_it_belongs() -> None:
    sealed = envelope.seal(ring("mk_1"), b"canary", PLACE)

    assert envelope.unseal(ring("mk_1"), sealed, PLACE) == b"canary"
    assert b"canary" not in sealed.value + sealed.wrapped_key


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, server_id=8),
        replace(PLACE, name="OTHER"),
        replace(PLACE, version=2),
    ],
)
def test_a_sealed_value_does_not_open_in_another_place(elsewhere: Place) -> None:
    sealed = envelope.seal(ring("mk_1"), b"canary", PLACE)

    with pytest.raises(SealBrokenError):
        envelope.unseal(ring("mk_1"), sealed, elsewhere)


def test_a_changed_byte_is_noticed() -> None:
    sealed = envelope.seal(ring("mk_1"), b"canary", PLACE)
    others = [
        *(replace(sealed, value=other) for other in flipped(sealed.value)),
        *(replace(sealed, wrapped_key=other) for other in flipped(sealed.wrapped_key)),
    ]

    for other in others:
        with pytest.raises(SealBrokenError):
            envelope.unseal(ring("mk_1"), other, PLACE)


def flipped(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` with one bit changed, at each place."""
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        yield bytes(changed)


def test_a_rewrapped_value_opens_with_the_new_key_alone() -> None:
    sealed = envelope.seal(ring("mk_1"), b"canary", PLACE)

    moved = envelope.rewrap(ring("mk_1", "mk_2"), sealed, PLACE)

    assert moved.value == sealed.value
    assert envelope.unseal(ring("mk_2"), moved, PLACE) == b"canary"
    with pytest.raises(MasterKeyError):
        envelope.unseal(ring("mk_1"), moved, PLACE)


def test_the_same_value_is_never_sealed_the_same() -> None:
    one, two = (envelope.seal(ring("mk_1"), b"canary", PLACE) for _ in range(2))

    assert one.value != two.value
    assert one.wrapped_key != two.wrapped_key


def test_keys_are_not_shown() -> None:
    assert "mk_1mk_1" not in repr(ring("mk_1"))


# -- the key file


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "below" / "keys.json"

    one, two = MasterKeys(path).ring(), MasterKeys(path).ring()

    assert one == two
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["keys.json"]


def test_a_new_key_is_seen_by_whoever_has_read_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    reader, writer = MasterKeys(path), MasterKeys(path)
    first = reader.ring().current

    second = writer.add_key().current

    assert reader.ring().current == second
    assert set(reader.ring().keys) == {first, second}
    assert writer.keep_only(set()) == [first]
    assert set(reader.ring().keys) == {second}


def test_a_spoilt_key_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"current": "a", "keys": {}}')

    with pytest.raises(MasterKeyError, match=r"keys\.json"):
        MasterKeys(path).ring()

    assert path.read_text() == '{"current": "a", "keys": {}}'


# -- names and values


@pytest.mark.parametrize("name", ["API_KEY", "a", "_X1", "x" * 128])
def test_a_name_is_that_of_an_environment_variable(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "1A", "A-B", "A B", "A=B", "é", "x" * 129, "PATH", "IFS", "CFG_A"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(SecretInvalidError) as caught:
        check_name(name)

    assert "name" in caught.value.fields


@pytest.mark.parametrize(
    "value", ["", "a\0b", "x" * (MAX_VALUE_BYTES + 1), "ä" * MAX_VALUE_BYTES, "\ud800"]
)
def test_a_value_that_could_not_be_delivered_is_refused(value: str) -> None:
    with pytest.raises(SecretInvalidError) as caught:
        check_value(value)

    assert "value" in caught.value.fields


@pytest.mark.parametrize(
    ("name", "value", "managed_by", "hidden"),
    [
        ("API_KEY", "value", "", {"value"}),
        ("S3_BUCKET", "pictures", "", {"pictures"}),
        ("S3_BUCKET", "pictures", "service:1", set()),
        ("S3_SECRET_ACCESS_KEY", "value", "service:1", {"value"}),
        ("REDIS_URL", "redis://:p%40ss@r/0", "service:1", {"redis://:p%40ss@r/0", "p%40ss", "p@ss"}),
        ("URL", "http://[", "", {"http://["}),
    ],
)  # fmt: skip
def test_what_is_secret_of_a_value_is_hidden(
    name: str, value: str, managed_by: str, hidden: set[str]
) -> None:
    assert hidden_of(name, value, managed_by=managed_by) == hidden


# -- memory


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/dev/shm/x", True),
        ("/run/mcp-host", True),
        ("/run/disk/x", False),
        ("/runner", False),
        ("/with space/x", True),
        ("/tmp", False),
    ],
)
def test_a_place_in_memory_is_told_from_one_on_a_disk(
    path: str, *, expected: bool
) -> None:
    assert in_memory(Path(path), MOUNTS) is expected


def test_a_chosen_directory_on_a_disk_is_not_taken(tmp_path: Path) -> None:
    # The temporary directory of tests may be in memory, but /proc never is.
    assert memory_root(tmp_path, Path("/proc")) is None


def test_without_memory_nothing_is_written() -> None:
    with pytest.raises(NoMemoryError):
        MemoryFiles(None).make("one")


def test_files_are_for_one_user_and_go_again(tmp_path: Path) -> None:
    files = MemoryFiles(tmp_path / "root")

    files.fill("one", {"A": b"first", "B": b"b"}, uid=os.getuid(), gid=os.getgid())
    files.fill("one", {"A": b"second"}, uid=os.getuid(), gid=os.getgid())

    directory = tmp_path / "root" / "given" / "one"
    assert {item.name: item.read_bytes() for item in directory.iterdir()} == {
        "A": b"second"
    }
    assert stat.S_IMODE((directory / "A").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "root").stat().st_mode) == 0o700
    files.remove("one")
    files.remove("one")
    assert not directory.exists()


def test_what_is_hidden_is_read_by_others_and_followed(tmp_path: Path) -> None:
    writer, reader = MemoryFiles(tmp_path), MemoryFiles(tmp_path)
    assert reader.hider(7) is None

    writer.remember(7, ["first-value"])
    hide = reader.hider(7)
    assert hide
    assert hide("a first-value") == "a [redacted]"

    writer.remember(7, ["second-value"])
    hide = reader.hider(7)
    assert hide
    assert hide("a second-value") == "a [redacted]"


def test_a_sweep_takes_what_is_of_nobody(tmp_path: Path) -> None:
    files = MemoryFiles(tmp_path)
    for name in ("kept", "gone", "young"):
        files.fill(name, {"A": b"a"}, uid=os.getuid(), gid=os.getgid())
    for name in ("kept", "gone"):
        os.utime(tmp_path / "given" / name, (0, 0))
    files.remember(7, ["value-of-seven"])
    files.remember(8, ["value-of-eight"])

    files.sweep(names={"kept"}, server_ids={7})

    assert {item.name for item in (tmp_path / "given").iterdir()} == {"kept", "young"}
    assert files.remembered(8) is None
    assert files.remembered(7) == ["value-of-seven"]


# -- what a container is told to start


def test_an_image_s_own_program_is_started_with_its_own_arguments() -> None:
    program = ImageProgram(("/entry", "-x"), ("serve",))

    assert secret_entry.entry([TOKEN, FILE], program, ()) == {
        "Entrypoint": ["/bin/sh", "-c", secret_entry.SCRIPT, "mcp-host-entry"],
        "Cmd": ["TOKEN", "--", "/entry", "-x", "serve"],
    }
    given = secret_entry.entry([TOKEN], program, ["other"])
    assert given["Cmd"] == ["TOKEN", "--", "/entry", "-x", "other"]


def test_files_alone_leave_an_image_s_entry_as_it_is() -> None:
    assert secret_entry.entry([FILE], ImageProgram(("/entry",)), ()) == {}
    assert secret_entry.entry([], ImageProgram(("/entry",)), ["a"]) == {"Cmd": ["a"]}


def test_an_image_without_a_shell_borrows_the_box_s() -> None:
    program = ImageProgram(("/server",), has_shell=False)

    assert secret_entry.entry([TOKEN], program, ())["Entrypoint"][:2] == [
        "/run/mcp-host/busybox",
        "sh",
    ]
    assert [
        (item["Source"], item["Target"], item["ReadOnly"])
        for item in secret_entry.mounts([TOKEN], program, PLACES)
    ] == [
        ("/memory/given/one", "/run/secrets", True),
        ("/bin/busybox", "/run/mcp-host/busybox", True),
    ]


def test_where_there_is_no_shell_at_all_the_error_says_what_to_do() -> None:
    program = ImageProgram(("/server",), has_shell=False)
    places = replace(PLACES, shell=None)

    with pytest.raises(StartFailedError, match="no shell") as caught:
        secret_entry.mounts([TOKEN], program, places)

    assert "busybox-static" in (caught.value.hint or "")
    assert len(secret_entry.mounts([FILE], program, places)) == 1


def shells() -> list[list[str]]:
    found = [["/bin/sh"], ["/bin/bash", "--posix"]]
    busybox = static_shell()
    return found + ([[str(busybox), "sh"]] if busybox else [])


@pytest.mark.parametrize("shell", shells(), ids=lambda shell: Path(shell[0]).name)
@settings(max_examples=25)
@given(
    value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
    | st.sampled_from(["\n", "a\n\n", "\\", "a\\\nb", "$HOME `id` \"'", " x ", "\r\n"])
)
def test_every_byte_of_a_value_reaches_the_environment(
    tmp_path_factory: pytest.TempPathFactory, shell: list[str], value: str
) -> None:
    directory = tmp_path_factory.mktemp("secrets")
    (directory / "TOKEN").write_bytes(value.encode())
    script = secret_entry.SCRIPT.replace(secret_entry.DIRECTORY, str(directory))
    show = "import os, sys; sys.stdout.buffer.write(os.environb[b'TOKEN'] + b'\\0' + os.environb[b'CFG_TOKEN'])"

    ended = subprocess.run(
        [*shell, "-c", script, "entry", "TOKEN", "--", sys.executable, "-c", show],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"},
        check=True,
        timeout=20,
    )

    assert ended.stdout == value.encode() + b"\0" + value.encode()


def test_a_program_gets_no_variable_besides(tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("t")
    script = secret_entry.SCRIPT.replace(secret_entry.DIRECTORY, str(tmp_path))

    ended = subprocess.run(
        ["/bin/sh", "-c", script, "entry", "TOKEN", "--", "/usr/bin/env"],
        stdout=subprocess.PIPE,
        env={"PWD": "/", "PATH": "/bin"},
        check=True,
        timeout=20,
    )

    names = {line.partition(b"=")[0] for line in ended.stdout.splitlines()}
    assert names == {b"PWD", b"PATH", b"TOKEN", b"CFG_TOKEN"}


def test_a_value_that_is_not_there_is_named(tmp_path: Path) -> None:
    script = secret_entry.SCRIPT.replace(secret_entry.DIRECTORY, str(tmp_path))

    ended = subprocess.run(
        ["/bin/sh", "-c", script, "entry", "TOKEN", "--", "/bin/true"],
        stderr=subprocess.PIPE,
        check=False,
        timeout=20,
    )

    assert ended.returncode == 78
    assert b"the secret TOKEN cannot be read" in ended.stderr


def test_a_static_program_is_told_from_one_that_needs_a_loader() -> None:
    assert not is_static(Path(sys.executable).resolve().read_bytes())
    assert not is_static(b"#!/bin/sh\n")
    assert not is_static(b"\x7fELF\x02\x01")
