"""Manifest lists as bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.digests import digest_of
from appliance.registry.index import (
    Member,
    children,
    config_digest,
    is_for,
    platform_of,
    put_together,
)
from appliance.registry.model import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
)


def member(platform: str, media_type: str = OCI_MANIFEST) -> Member:
    body = platform.encode()
    return Member(platform, Manifest(body, media_type, digest_of(body)))


def test_a_list_is_these_bytes() -> None:
    whole = put_together([member("linux/arm/v7"), member("linux/amd64")])

    assert json.loads(whole.body) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "size": 11,
                "digest": digest_of(b"linux/amd64"),
                "platform": {"architecture": "amd64", "os": "linux"},
            },
            {
                "mediaType": OCI_MANIFEST,
                "size": 12,
                "digest": digest_of(b"linux/arm/v7"),
                "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
            },
        ],
    }
    assert whole.digest == digest_of(whole.body)
    assert children(whole) == {digest_of(b"linux/amd64"), digest_of(b"linux/arm/v7")}


@given(st.permutations(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]))
def test_the_order_of_members_changes_nothing(platforms: list[str]) -> None:
    whole = put_together([member(item) for item in platforms])

    assert whole == put_together([member(item) for item in sorted(platforms)])


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((DOCKER_MANIFEST, DOCKER_MANIFEST), DOCKER_LIST),
        ((DOCKER_MANIFEST, OCI_MANIFEST), OCI_INDEX),
        ((OCI_MANIFEST, OCI_MANIFEST), OCI_INDEX),
    ],
)
def test_the_kind_of_list_is_that_of_its_members(
    types: tuple[str, str], expected: str
) -> None:
    members = [
        member(name, kind) for name, kind in zip(("a/b", "c/d"), types, strict=True)
    ]

    assert put_together(members).media_type == expected


@pytest.mark.parametrize(
    ("wanted", "named", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm64", "linux/amd64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "", False),
    ],
)
def test_an_image_is_for_the_platform_that_its_config_names(
    wanted: str, named: str, *, fits: bool
) -> None:
    assert is_for(wanted, named) is fits


@given(st.binary())
def test_no_answer_of_a_registry_breaks_the_readers(body: bytes) -> None:
    for text in (body, b'{"manifests": ' + body, b'{"config": ["' + body + b'"]}'):
        assert children(Manifest(text, OCI_INDEX, "")) == frozenset()
        assert config_digest(Manifest(text, OCI_MANIFEST, "")) == ""
        assert isinstance(platform_of(text), str)
