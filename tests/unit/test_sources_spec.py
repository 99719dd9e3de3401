"""Sources as callers write them."""

from datetime import date

import pytest

from appliance.core.errors import InvalidError
from appliance.sources.model import (
    Ecosystem,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
)
from appliance.sources.reach import is_private, names_private
from appliance.sources.spec import as_dict, from_dict, parse_source

DIGEST = f"sha256:{'a1' * 32}"

GOOD = [
    (
        {"package": "pypi:mcp-server-time"},
        PackageSource(Ecosystem.PYPI, "mcp-server-time"),
    ),
    (
        {"package": "pypi:mcp-server-time==1.0rc1"},
        PackageSource(Ecosystem.PYPI, "mcp-server-time", "1.0rc1"),
    ),
    (
        {"package": "pypi:mcp-server-time@2026.1"},
        PackageSource(Ecosystem.PYPI, "mcp-server-time", "2026.1"),
    ),
    (
        {"package": " PyPI: thing[cli,http] "},
        PackageSource(Ecosystem.PYPI, "thing[cli,http]"),
    ),
    (
        {"package": "pypi:thing==1.0", "as_of": "2025-05-01"},
        PackageSource(Ecosystem.PYPI, "thing", "1.0", date(2025, 5, 1)),
    ),
    ({"package": "npm:thing"}, PackageSource(Ecosystem.NPM, "thing")),
    (
        {"package": "npm:@scope/thing@1.2"},
        PackageSource(Ecosystem.NPM, "@scope/thing", "1.2"),
    ),
    (
        {"package": "npm:@scope/thing@1.2.3-beta.1"},
        PackageSource(Ecosystem.NPM, "@scope/thing", "1.2.3-beta.1"),
    ),
    ({"package": "npm:thing@next"}, PackageSource(Ecosystem.NPM, "thing", "next")),
    ({"package": "npm:thing@latest"}, PackageSource(Ecosystem.NPM, "thing")),
    (
        {"repo_url": "https://example.org/o/r.git"},
        GitSource("https://example.org/o/r.git"),
    ),
    (
        {
            "repo_url": "https://example.org:8443/r",
            "branch": "feature/x",
            "subdirectory": "/a/b/",
        },
        GitSource("https://example.org:8443/r", "feature/x", "a/b"),
    ),
    ({"repo_url": "ssh://git@example.org/o/r"}, GitSource("ssh://git@example.org/o/r")),
    (
        {"repo_url": "git@example.org:o/r.git"},
        GitSource("ssh://git@example.org/o/r.git"),
    ),
    ({"image": "thing"}, ImageSource("thing:latest")),
    (
        {"image": "registry.example:5000/o/thing:1.2"},
        ImageSource("registry.example:5000/o/thing:1.2"),
    ),
    ({"image": f"thing@{DIGEST}"}, ImageSource(f"thing@{DIGEST}")),
    ({"image": DIGEST}, ImageSource(DIGEST)),
    (
        {"remote_url": "https://example.org/mcp?x=1#top"},
        RemoteSource("https://example.org/mcp?x=1"),
    ),
    ({"remote_url": "http://[::1]:8000/mcp"}, RemoteSource("http://[::1]:8000/mcp")),
    (
        {"package": "npm:thing", "branch": None, "image": ""},
        PackageSource(Ecosystem.NPM, "thing"),
    ),
]


@pytest.mark.parametrize(("data", "source"), GOOD)
def test_a_source_is_read(data: dict[str, str], source: object) -> None:
    assert parse_source(data) == source


@pytest.mark.parametrize(("data", "source"), GOOD)
def test_what_is_stored_is_read_back(data: dict[str, str], source: object) -> None:
    stored = as_dict(parse_source(data))

    assert from_dict(stored) == source
    assert stored["kind"] in {"package", "git", "image", "remote"}


BAD = [
    ({}, "source", "exactly one of"),
    ({"image": "a", "package": "npm:b"}, "source", "exactly one of"),
    (
        {"image": "a", "branch": "main"},
        "source.branch",
        "does not go together with image",
    ),
    ({"image": "a", "speed": "high"}, "source.speed", "does not go together"),
    ({"package": 3}, "source.package", "give a text"),
    ({"package": "npm:" + "a" * 3000}, "source.package", "at most 2048"),
    ({"package": "mcp-server-time"}, "source.package", "pypi:name"),
    ({"package": "cargo:thing"}, "source.package", "pypi:name"),
    ({"package": "pypi:"}, "source.package", "not a PyPI package name"),
    ({"package": "pypi:-r /etc/passwd"}, "source.package", "not a PyPI package name"),
    (
        {"package": "pypi:https://example.org/x.whl"},
        "source.package",
        "not a PyPI package name",
    ),
    ({"package": "pypi:thing>=1"}, "source.package", "not a PyPI package name"),
    ({"package": "pypi:thing==1.*"}, "source.package", "not an exact version"),
    (
        {"package": "pypi:thing==1; os_name=='x'"},
        "source.package",
        "not an exact version",
    ),
    ({"package": "npm:../thing"}, "source.package", "not an npm package name"),
    ({"package": "npm:Thing"}, "source.package", "not an npm package name"),
    ({"package": "npm:--global"}, "source.package", None),
    ({"package": "npm:thing@file:/etc"}, "source.package", "not a version or tag"),
    ({"package": "npm:thing@^1.2"}, "source.package", "not a version or tag"),
    ({"package": "npm:thing@npm:other"}, "source.package", "not a version or tag"),
    ({"repo_url": "file:///etc"}, "source.repo_url", "must begin with"),
    ({"repo_url": "/etc"}, "source.repo_url", "must begin with"),
    ({"repo_url": "ext::sh"}, "source.repo_url", "must begin with"),
    ({"repo_url": "git://example.org/r"}, "source.repo_url", "must begin with"),
    ({"repo_url": "--upload-pack=touch"}, "source.repo_url", "must begin with"),
    (
        {"repo_url": "https://u:secret@example.org/r"},
        "source.repo_url",
        "user name or password",
    ),
    (
        {"repo_url": "https://token@example.org/r"},
        "source.repo_url",
        "user name or password",
    ),
    ({"repo_url": "https:///r"}, "source.repo_url", "names no host"),
    ({"repo_url": "ssh://-oProxyCommand=x/r"}, "source.repo_url", None),
    ({"repo_url": "ssh://-x@example.org/r"}, "source.repo_url", "strange user name"),
    ({"repo_url": "https://example.org/a b"}, "source.repo_url", "blank"),
    (
        {"repo_url": "https://example.org/r", "branch": "--exec=x"},
        "source.branch",
        "not a branch",
    ),
    (
        {"repo_url": "https://example.org/r", "branch": "a..b"},
        "source.branch",
        "not a branch",
    ),
    (
        {"repo_url": "https://example.org/r", "branch": "a b"},
        "source.branch",
        "not a branch",
    ),
    (
        {"repo_url": "https://example.org/r", "subdirectory": "../up"},
        "source.subdirectory",
        "inside the repository",
    ),
    (
        {"repo_url": "https://example.org/r", "subdirectory": "a/.git"},
        "source.subdirectory",
        "inside the repository",
    ),
    (
        {"repo_url": "https://example.org/r", "subdirectory": 'a"b'},
        "source.subdirectory",
        "inside the repository",
    ),
    ({"image": "Thing"}, "source.image", "not an image reference"),
    ({"image": "--privileged"}, "source.image", "not an image reference"),
    ({"image": "thing@sha256:12"}, "source.image", "not an image reference"),
    ({"remote_url": "ftp://example.org"}, "source.remote_url", "must begin with"),
    (
        {"remote_url": "https://u:p@example.org/"},
        "source.remote_url",
        "user name or password",
    ),
    ({"remote_url": "https://example.org:99999/"}, "source.remote_url", "not a URL"),
]


@pytest.mark.parametrize(("data", "field", "problem"), BAD)
def test_a_wrong_source_names_the_field_and_what_is_wrong(
    data: dict[str, object], field: str, problem: str | None
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_source(data)

    assert list(caught.value.fields) == [field]
    assert (problem or "") in caught.value.fields[field]


def test_a_secret_in_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(InvalidError) as caught:
        parse_source({"repo_url": "https://u:hunter2@example.org/r"})

    assert "hunter2" not in str(caught.value) + str(caught.value.fields)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
     "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_addresses_of_this_box_and_its_neighbours_are_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111"])
def test_addresses_of_others_are_not(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "box.local",
        "x.internal",
        "127.1",
        "0x7f.1",
        "2130706433",
        "[::1]",
    ],
)
def test_other_ways_to_write_this_box_are_seen_through(host: str) -> None:
    assert names_private(f"http://{host}/mcp")


def test_names_that_must_be_resolved_are_let_through() -> None:
    assert not names_private("https://example.org/mcp")
