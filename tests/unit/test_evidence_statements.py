"""What is said of an image, in which bytes, and how it is signed."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.core.images import PlatformImage, Published, PublishedPlatform
from appliance.evidence import dsse, provenance
from appliance.evidence.facts import revision_of
from appliance.evidence.model import Lock, Run, Subject
from appliance.sources.model import (
    ArchiveSource,
    Ecosystem,
    GitSource,
    ImageSource,
    PackageSource,
    Source,
)

LIST, AMD64, ARM64 = (f"sha256:{digit * 64}" for digit in "abc")
COMMIT = "0123456789" * 4

PUBLISHED = Published(
    "reg.example.org/team/time",
    "v7",
    LIST,
    is_multi_arch=True,
    platforms=(
        PublishedPlatform("linux/amd64", f"reg.example.org/team/time@{AMD64}", AMD64),
        PublishedPlatform("linux/arm64", f"reg.example.org/team/time@{ARM64}", ARM64),
    ),
)
RUN = Run(
    id=7,
    build_id=5,
    attempt=2,
    server_id=3,
    server_name="time",
    source=GitSource("https://me:hunter2@git.example.org/a/time.git", "main"),
    revision=COMMIT,
    local_image="mcp-host/time:0a-7",
    images=(
        PlatformImage("linux/amd64", f"sha256:{'1' * 64}", "mcp-host/time:0a-7"),
        PlatformImage("linux/arm64", f"sha256:{'2' * 64}", "mcp-host/time:0a-7-arm64"),
    ),
    published=PUBLISHED,
    started_at=datetime(2026, 11, 21, 8, 0, 0, 500, tzinfo=UTC),
    completed_at=datetime(2026, 11, 21, 8, 1, 0, tzinfo=UTC),
    base_image="mcp-host/base:fd2e",
    dockerfile_sha256="f" * 64,
    builder="default",
)


def predicate(run: Run) -> dict[str, object]:
    return provenance.predicate(
        run,
        installation="0a1b2c3d4e5f",
        version="0.1.0",
        base_digest=f"sha256:{'d' * 64}",
        locks=[Lock("opt/mcp/server/app/uv.lock", "e" * 64)],
    )


def test_what_is_signed_is_the_encoding_that_dsse_prescribes() -> None:
    # The example of the DSSE protocol's own text.
    encoded = dsse.pre_authentication_encoding(
        "http://example.com/HelloWorld", b"hello world"
    )

    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_statement_has_the_bytes_that_in_toto_prescribes() -> None:
    found = dsse.statement(
        (Subject("reg.example.org/a", f"sha256:{'ab' * 32}"),),
        predicate_type="https://example.org/p",
        predicate={"b": 1, "a": "ä"},
    )

    assert (
        found
        == (
            '{"_type":"https://in-toto.io/Statement/v1",'
            '"predicate":{"a":"ä","b":1},'
            '"predicateType":"https://example.org/p",'
            f'"subject":[{{"digest":{{"sha256":"{"ab" * 32}"}},"name":"reg.example.org/a"}}]}}'
        ).encode()
    )


def test_a_bundle_carries_a_signature_that_its_key_made_over_type_and_payload() -> None:
    key = Ed25519PrivateKey.generate()

    found = json.loads(dsse.bundle(b'{"x":1}', key_id="ab" * 32, sign=key.sign))

    envelope = found["dsseEnvelope"]
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    assert found["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = found["verificationMaterial"]["publicKey"]["hint"]
    assert base64.b64decode(hint).hex() == "ab" * 32
    assert base64.b64decode(envelope["payload"]) == b'{"x":1}'
    signed = b'DSSEv1 28 application/vnd.in-toto+json 7 {"x":1}'
    key.public_key().verify(signature, signed)
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, signed.replace(b"1}", b"2}"))


def test_provenance_names_source_base_locks_and_who_built_when() -> None:
    assert predicate(RUN) == {
        "buildDefinition": {
            "buildType": "urn:mcp-host:image-build:v1",
            "externalParameters": {
                "source": {
                    "kind": "git",
                    "url": "https://git.example.org/a/time.git",
                    "ref": "main",
                },
                "platforms": ["linux/amd64", "linux/arm64"],
            },
            "internalParameters": {
                "builder": "default",
                "dockerfile": {"sha256": "f" * 64},
            },
            "resolvedDependencies": [
                {
                    "name": "source",
                    "uri": "git+https://git.example.org/a/time.git@main",
                    "digest": {"gitCommit": COMMIT},
                },
                {
                    "name": "base image",
                    "uri": "pkg:docker/mcp-host/base@fd2e",
                    "digest": {"sha256": "d" * 64},
                },
                {
                    "name": "lock file /opt/mcp/server/app/uv.lock",
                    "digest": {"sha256": "e" * 64},
                },
            ],
        },
        "runDetails": {
            "builder": {
                "id": "urn:mcp-host:installation:0a1b2c3d4e5f",
                "version": {"mcp-host": "0.1.0"},
            },
            "metadata": {
                "invocationId": "build/5/attempt/2",
                "startedOn": "2026-11-21T08:00:00Z",
                "finishedOn": "2026-11-21T08:01:00Z",
            },
        },
    }


def test_a_password_in_the_source_reaches_no_evidence() -> None:
    assert "hunter2" not in json.dumps(predicate(RUN))


@pytest.mark.parametrize(
    ("source", "revision", "expected"),
    [
        (
            PackageSource(Ecosystem.NPM, "@scope/server"),
            "1.2.3",
            {"name": "source", "uri": "pkg:npm/%40scope/server@1.2.3"},
        ),
        (
            PackageSource(Ecosystem.PYPI, "MCP_Server[cli]", "0.9"),
            "",
            {"name": "source", "uri": "pkg:pypi/mcp-server@0.9"},
        ),
        (
            ImageSource("reg.example.org/a/b:1"),
            AMD64,
            {
                "name": "source",
                "uri": "pkg:docker/a/b@1?repository_url=reg.example.org",
                "digest": {"sha256": "b" * 64},
            },
        ),
        (
            ArchiveSource(f"sha256:{'9' * 64}", "server.zip"),
            "",
            {"name": "source server.zip", "digest": {"sha256": "9" * 64}},
        ),
        (
            GitSource("https://git.example.org/a.git"),
            "",
            {"name": "source", "uri": "git+https://git.example.org/a.git"},
        ),
    ],
)
def test_every_kind_of_source_is_named_as_others_name_it(
    source: Source, revision: str, expected: dict[str, object]
) -> None:
    run = replace(RUN, source=source, revision=revision, base_image="")
    made = provenance.predicate(
        run, installation="0a", version="1", base_digest="", locks=[]
    )

    assert made["buildDefinition"]["resolvedDependencies"] == [expected]


@pytest.mark.parametrize(
    ("recorded", "resolved", "expected"),
    [
        ("1.2.3", {"version": "9"}, "1.2.3"),
        ("", {"digest": AMD64, "entry": "/server"}, AMD64),
        ("", {"revision": COMMIT, "digest": AMD64}, COMMIT),
        ("", {"version": 3}, ""),
        ("", {}, ""),
    ],
)
def test_what_was_taken_is_what_the_ledger_has_or_the_build_resolved(
    recorded: str, resolved: dict[str, object], expected: str
) -> None:
    assert revision_of(recorded, resolved) == expected


def test_the_subjects_are_the_list_and_every_platform() -> None:
    assert [item.digest for item in provenance.subjects_of(RUN)] == [LIST, AMD64, ARM64]
    of_one = provenance.platform_subjects(RUN, "linux/arm64")
    assert [item.digest for item in of_one] == [ARM64, LIST]


def test_a_single_manifest_is_named_once() -> None:
    only = replace(
        PUBLISHED,
        digest=AMD64,
        is_multi_arch=False,
        platforms=PUBLISHED.platforms[:1],
    )

    found = provenance.subjects_of(replace(RUN, published=only))

    assert [item.digest for item in found] == [AMD64]


def test_without_a_registry_the_subjects_are_local_ids_and_say_so() -> None:
    local = replace(RUN, published=None)

    said = json.loads(
        dsse.statement(provenance.subjects_of(local), predicate_type="x", predicate={})
    )

    assert said["subject"][1] == {
        "name": "mcp-host/time:0a-7-arm64#linux/arm64",
        "digest": {"sha256": "2" * 64},
        "annotations": {"mcp-host/digest-of": "local image id"},
    }
    assert len(said["subject"]) == 2
