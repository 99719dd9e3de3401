"""What is found in an image's files, and the bill that is made of it."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from appliance.evidence.cyclonedx import Described, bill, locks_of
from appliance.evidence.model import Lock, Subject
from appliance.evidence.scanning import Bounds, Inventory, scan

OS_RELEASE = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12+b1
Description: GNU C Library
 many
 lines

Package: removed
Status: deinstall ok config-files
Version: 1
"""
COPYRIGHT = "Format: https://example.org/format\n\nFiles: *\nLicense: LGPL-2.1+\n text\n\nFiles: x\nLicense: GPL-2+\n"
METADATA = "Metadata-Version: 2.4\nName: Typing_Extensions\nVersion: 4.16.0\nLicense-Expression: PSF-2.0 OR MIT\n\nBody: no\n"
OLD_METADATA = (
    "Name: old\nVersion: 1\nLicense: a whole\n        licence text\n"
    "Classifier: License :: OSI Approved :: MIT License\n\n"
)
SITE = "opt/venv/lib/python3.13/site-packages"
APK = "P:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\nF:lib\n\nP:busybox\nV:1.37.0-r8\nA:x86_64\nL:GPL-2.0-only\n"

DEBIAN = {
    "var/lib/dpkg/status": DPKG,
    # After the list, as tars of real images have it by chance.
    "usr/lib/os-release": OS_RELEASE,
    "usr/share/doc/libc6/copyright": COPYRIGHT,
    f"{SITE}/typing_extensions-4.16.0.dist-info/METADATA": METADATA,
    f"{SITE}/old-1.egg-info/PKG-INFO": OLD_METADATA,
    "app/node_modules/@scope/a/package.json": '{"name": "@scope/a", "version": "1.0.0", "license": "MIT"}',
    "app/node_modules/b/dist/esm/package.json": '{"name": "inner", "version": "9"}',
    "other/node_modules/@scope/a/package.json": '{"name": "@scope/a", "version": "1.0.0", "license": "MIT"}',
    "opt/mcp/server/app/uv.lock": "locked",
    "bin/sh": "\x7fELF",
}


def tar(files: Mapping[str, str | bytes], *, prefix: str = "") -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    return buffer


def bill_of(found: Inventory, *, is_local: bool = False) -> dict[str, Any]:
    subject = Subject("reg.example.org/team/time", f"sha256:{'a' * 64}", is_local)
    at = datetime(2026, 11, 21, 8, tzinfo=UTC)
    return bill(
        Described(subject, "linux/amd64", f"sha256:{'b' * 64}", at, "0.1.0"), found
    )


def assert_valid(document: dict[str, Any]) -> None:
    """Hold a bill against the official schema, and every package URL against another reader."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    assert problem is None, problem
    for component in document["components"]:
        if "purl" in component:
            read = PackageURL.from_string(component["purl"])
            assert read.version == component["version"]
            assert read.to_string().lower() == component["purl"].lower()


@pytest.mark.parametrize("prefix", ["", "./"])
def test_packages_of_every_kind_are_found_with_version_and_licence(prefix: str) -> None:
    found = scan(tar(DEBIAN, prefix=prefix))

    assert {(item.purl, item.licences) for item in found.packages} == {
        (
            "pkg:deb/debian/libc6@2.41-12%2Bb1?arch=amd64&distro=debian-13",
            ("LGPL-2.1+", "GPL-2+"),
        ),
        ("pkg:pypi/typing-extensions@4.16.0", ("PSF-2.0 OR MIT",)),
        ("pkg:pypi/old@1", ("MIT License",)),
        ("pkg:npm/%40scope/a@1.0.0", ("MIT",)),
    }
    assert list(found.locks) == ["opt/mcp/server/app/uv.lock"]
    assert found.files == []
    assert found.omissions == []


def test_alpine_says_its_packages_elsewhere() -> None:
    found = scan(tar({"lib/apk/db/installed": APK, "etc/os-release": "ID=alpine\n"}))

    assert [item.purl for item in found.packages] == [
        "pkg:apk/alpine/busybox@1.37.0-r8?arch=x86_64&distro=alpine",
        "pkg:apk/alpine/musl@1.2.5-r9?arch=x86_64&distro=alpine",
    ]


def test_an_image_without_lists_is_told_by_its_files() -> None:
    found = scan(tar({"server": b"abc", "etc/config": b""}))

    document = bill_of(found)

    assert [item["name"] for item in document["components"]] == [
        "/etc/config",
        "/server",
    ]
    content = document["components"][1]["hashes"][0]["content"]
    assert content == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert_valid(document)


def test_the_bill_holds_against_the_official_schema() -> None:
    document = bill_of(scan(tar(DEBIAN)))

    assert_valid(document)
    assert locks_of(document) == [
        Lock("opt/mcp/server/app/uv.lock", sha256(b"locked").hexdigest())
    ]
    assert document["metadata"]["component"]["version"] == f"sha256:{'a' * 64}"
    by_name = {item["name"]: item for item in document["components"]}
    assert by_name["Typing_Extensions"]["licenses"] == [
        {"expression": "PSF-2.0 OR MIT"}
    ]
    assert len(by_name["@scope/a"]["evidence"]["occurrences"]) == 2
    assert document["compositions"][0]["aggregate"] == "unknown"


def test_a_bill_of_nothing_and_one_of_a_local_image_hold_too() -> None:
    assert_valid(bill_of(scan(tar({}))))
    local = bill_of(scan(tar(DEBIAN)), is_local=True)
    assert_valid(local)
    assert "purl" not in local["metadata"]["component"]


def test_the_same_files_make_the_same_bytes_in_any_order() -> None:
    turned = dict(reversed(DEBIAN.items()))

    one, other = bill_of(scan(tar(DEBIAN))), bill_of(scan(tar(turned)))

    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00garbage",
        b"Name: a\n",
        b"Name: x\nVersion: " + b"9" * 100_000,
        b"Name: \x1b[31mred\nVersion: 1\nLicense-Expression: \x00\x07\n",
        b"\n\n\n",
    ],
)
def test_a_description_that_makes_no_sense_leaves_a_bill_that_holds(
    content: bytes,
) -> None:
    found = scan(
        tar(
            {
                f"{SITE}/x-1.dist-info/METADATA": content,
                "app/node_modules/x/package.json": content,
                "var/lib/dpkg/status": content,
                "lib/apk/db/installed": content,
                "etc/os-release": content,
                "usr/share/doc/x/copyright": content,
            }
        )
    )

    assert_valid(bill_of(found))
    assert all(len(item.version) <= 300 for item in found.packages)
    assert "\x1b" not in json.dumps(found.as_json(), ensure_ascii=False)


def test_deep_json_and_wrong_types_are_left_out() -> None:
    deep = "[" * 100_000
    files: dict[str, str | bytes] = {
        f"node_modules/p{number}/package.json": text
        for number, text in enumerate(
            [deep, "[]", '{"name": 1, "version": {}}', '{"name": "a"}', "null"]
        )
    }

    assert scan(tar(files)).packages == []


def test_what_goes_beyond_a_bound_is_left_out_and_said() -> None:
    found = scan(tar(DEBIAN), Bounds(packages=1))

    assert len(found.packages) == 1
    assert found.omissions == ["packages beyond 1"]
    assert bill_of(found)["compositions"][0]["aggregate"] == "incomplete"


def test_a_description_that_is_too_long_is_not_read() -> None:
    long = b"Name: a\nVersion: 1\n" + b"x" * Bounds().description_bytes

    found = scan(tar({f"{SITE}/a-1.dist-info/METADATA": long}))

    assert found.packages == []
    assert str(len(long)) in found.omissions[0]


@pytest.mark.parametrize("at", [100, 700, 1500])
def test_a_stream_that_ends_in_the_middle_is_refused(at: int) -> None:
    whole = tar({"a": b"x" * 2000}).getvalue()

    with pytest.raises(tarfile.TarError):
        scan(io.BytesIO(whole[:at]))


def test_a_compressed_stream_is_no_tar() -> None:
    with pytest.raises(tarfile.TarError):
        scan(io.BytesIO(gzip.compress(tar(DEBIAN).getvalue())))


def test_an_inventory_survives_its_journey_between_processes() -> None:
    found = scan(tar(DEBIAN))

    assert Inventory.of_json(json.loads(json.dumps(found.as_json()))) == found
