"""What a backup says of itself, and which program may bring it back."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.backups.errors import BackupDamagedError, RestoreRefusedError
from appliance.backups.manifest import read, require_known_schema, write
from appliance.backups.model import (
    ImageWay,
    KeptImage,
    KeptServer,
    Manifest,
    Moment,
    Part,
)

IMAGE = KeptImage("sha256:1", ("mcp-host/time:0a1b2c3d4e5f-7",), ("registry.example.org/time@sha256:2",))  # fmt: skip
MANIFEST = Manifest(
    1, "1.4.0", 57, "0a1b2c3d4e5f", datetime(2026, 11, 22, tzinfo=UTC), 18,
    (Part("parts/database.dump.age", "database", 10, "ab", 7),),
    (
        KeptServer(7, "time", True, ImageWay.INCLUDED, IMAGE, Moment.FROZEN, 1024),  # noqa: FBT003 - a row
        KeptServer(8, "far", True, ImageWay.NONE),  # noqa: FBT003 - a row
    ),
    (IMAGE,),
)  # fmt: skip


def test_it_reads_as_it_was_written() -> None:
    assert read(write(MANIFEST)) == MANIFEST


def test_a_newer_backup_is_refused_with_what_to_do_and_an_older_one_is_not() -> None:
    require_known_schema(MANIFEST, newest=57)
    require_known_schema(MANIFEST, newest=60)

    with pytest.raises(RestoreRefusedError, match=r"1\.4\.0.*0057.*0056") as refused:
        require_known_schema(MANIFEST, newest=56)
    assert "Install that version" in (refused.value.hint or "")


def test_a_format_of_the_future_is_refused_and_something_else_is_damaged() -> None:
    future = json.loads(write(replace(MANIFEST, format=2)))

    with pytest.raises(RestoreRefusedError, match="format 2"):
        read(json.dumps(future).encode())
    for text in (b"", b"[]", b"{}", b'{"format": 1}'):
        with pytest.raises(BackupDamagedError):
            read(text)
