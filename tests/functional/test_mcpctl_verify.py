"""mcpctl verify and evidence, as people run them; and what somebody else's verifier says to the same bundles."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.evidence import cyclonedx, dsse, provenance
from appliance.evidence.keys import id_of
from appliance.evidence.model import Subject
from appliance.evidence.scanning import Inventory
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Done, Terminal
from tests.harness.node import ensure_installed, environment, node

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SUBJECT = Subject("reg.example.org/clock", DIGEST)
PROVENANCE = {
    "buildDefinition": {"buildType": provenance.BUILD_TYPE, "externalParameters": {}},
    "runDetails": {"builder": {"id": f"{provenance.BUILDER_PREFIX}0a"}},
}


@dataclass
class Desk:
    """A directory with bundles and keys, and a terminal in front of it."""

    terminal: Terminal
    home: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def write(self, name: str, content: bytes) -> str:
        path = self.home / name
        path.write_bytes(content)
        return str(path)

    def public(self, key: Ed25519PrivateKey | None = None) -> bytes:
        return (
            (key or self.key)
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )

    def bundle(
        self,
        predicate: dict[str, Any] | None = None,
        predicate_type: str = provenance.PREDICATE_TYPE,
    ) -> dict[str, Any]:
        payload = dsse.statement(
            (SUBJECT,), predicate_type=predicate_type, predicate=predicate or PROVENANCE
        )
        return self.signed(payload)

    def signed(self, payload: bytes) -> dict[str, Any]:
        content = dsse.bundle(payload, key_id=id_of(self.key), sign=self.key.sign)
        found: dict[str, Any] = json.loads(content)
        return found

    async def verify(self, content: bytes, *arguments: str) -> Done:
        return await self.terminal.run(
            "verify", self.write("bundle.json", content),
            "--key", self.write("key.pem", self.public()), *arguments, "--json",
        )  # fmt: skip


@pytest.fixture
def desk(hub: Hub, tmp_path: Path) -> Desk:
    """A desk with a key of its own; nobody is logged in."""
    return Desk(Terminal(hub, tmp_path), tmp_path)


def as_bytes(bundle: dict[str, Any]) -> bytes:
    return json.dumps(bundle).encode()


def bill() -> dict[str, Any]:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    image = cyclonedx.Described(SUBJECT, "linux/amd64", OTHER, at, "0.1.0")
    return cyclonedx.bill(image, Inventory())


async def test_good_bundles_are_verified_with_files_alone(desk: Desk) -> None:
    one = desk.write("p.json", as_bytes(desk.bundle()))
    other = desk.write(
        "s.json", as_bytes(desk.bundle(bill(), cyclonedx.PREDICATE_TYPE))
    )
    # Several keys in one file, as "mcpctl evidence key --all" prints them.
    keys = desk.write(
        "keys.pem", desk.public(Ed25519PrivateKey.generate()) + desk.public()
    )

    done = await desk.terminal.run(
        "verify", one, other, "--key", keys, "--digest", DIGEST, "--json"
    )

    assert done.code == 0, done.err
    assert [item["kind"] for item in done.json()["items"]] == ["provenance", "sbom"]
    assert {item["key_id"] for item in done.json()["items"]} == {id_of(desk.key)}


def with_payload(desk: Desk, change: Callable[[bytes], bytes]) -> bytes:
    bundle = desk.bundle()
    envelope = bundle["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(
        change(base64.b64decode(envelope["payload"]))
    ).decode()
    return as_bytes(bundle)


def with_type(desk: Desk) -> bytes:
    bundle = desk.bundle()
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    return as_bytes(bundle)


def with_signature(desk: Desk) -> bytes:
    bundle = desk.bundle()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(
        bytes(64)
    ).decode()
    return as_bytes(bundle)


def of_stranger(desk: Desk) -> bytes:
    return as_bytes(Desk(desk.terminal, desk.home).bundle())


def in_our_name(desk: Desk) -> bytes:
    """Return a stranger's bundle that names our key."""
    bundle = Desk(desk.terminal, desk.home).bundle()
    bundle["verificationMaterial"] = desk.bundle()["verificationMaterial"]
    return as_bytes(bundle)


def statement(**fields: Any) -> bytes:
    whole = {
        "_type": dsse.STATEMENT_TYPE,
        "subject": [{"name": "x", "digest": {"sha256": "a" * 64}}],
        "predicateType": provenance.PREDICATE_TYPE,
        "predicate": PROVENANCE,
    }
    return json.dumps({**whole, **fields}).encode()


REFUSED: dict[str, tuple[Callable[[Desk], bytes], str]] = {
    "a changed digest": (
        lambda desk: with_payload(desk, lambda text: text.replace(b"aaaa", b"bbbb")),
        "bad_signature",
    ),
    "a space more": (
        lambda desk: with_payload(desk, lambda text: text + b" "),
        "bad_signature",
    ),
    "another signature": (with_signature, "bad_signature"),
    "our name on a stranger's": (in_our_name, "bad_signature"),
    "another key": (of_stranger, "wrong_key"),
    "another payload type": (with_type, "wrong_payload_type"),
    "half a bundle": (lambda desk: as_bytes(desk.bundle())[:400], "not_a_bundle"),
    "nothing": (lambda _desk: b"", "not_a_bundle"),
    "another document": (lambda _desk: b'{"mediaType": "x"}', "not_a_bundle"),
    "a list": (lambda _desk: b"[]", "not_a_bundle"),
    "depth": (lambda _desk: b"[" * 100_000, "not_a_bundle"),
    "a bundle without an envelope": (
        lambda _desk: as_bytes({"mediaType": dsse.BUNDLE_TYPE}),
        "not_a_bundle",
    ),
    "no subject": (
        lambda desk: as_bytes(desk.signed(statement(subject=[]))),
        "no_subject",
    ),
    "a subject that is none": (
        lambda desk: as_bytes(
            desk.signed(statement(subject=[{"digest": {"sha256": "a"}}]))
        ),
        "no_subject",
    ),
    "an unknown predicate": (
        lambda desk: as_bytes(desk.signed(statement(predicateType="https://x"))),
        "unknown_predicate",
    ),
    "half a predicate": (
        lambda desk: as_bytes(
            desk.signed(statement(predicate={"buildDefinition": {}}))
        ),
        "not_a_bundle",
    ),
    "a builder without a name": (
        lambda desk: as_bytes(
            desk.signed(
                statement(
                    predicate={"buildDefinition": {}, "runDetails": {"builder": {}}}
                )
            )
        ),
        "bad_predicate",
    ),
    "no statement": (lambda desk: as_bytes(desk.signed(b"{}")), "not_a_statement"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_to_be_believed_is_refused(desk: Desk, name: str) -> None:
    make, code = REFUSED[name]

    done = await desk.verify(make(desk))

    assert done.code == 1
    (item,) = done.json()["items"]
    assert (item["verified"], item["code"]) == (False, code), item
    assert item["reason"].endswith(".")


async def test_a_good_bundle_about_another_image_is_refused(desk: Desk) -> None:
    done = await desk.verify(as_bytes(desk.bundle()), "--digest", OTHER)

    assert done.code == 1
    assert done.json()["items"][0]["code"] == "wrong_digest"


async def test_one_bad_bundle_among_good_ones_fails_the_command(desk: Desk) -> None:
    good = desk.write("good.json", as_bytes(desk.bundle()))
    bad = desk.write("bad.json", b"{")
    key = desk.write("key.pem", desk.public())

    done = await desk.terminal.run("verify", good, bad, "--key", key)

    assert done.code == 1
    assert "Not verified: 1 of 2." in done.err
    assert "cut off" in done.out


async def test_what_cannot_be_checked_says_what_would_be_right(desk: Desk) -> None:
    good = desk.write("good.json", as_bytes(desk.bundle()))
    elliptic = generate_private_key(SECP256R1()).public_key()
    pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    wrong = desk.write("wrong.pem", pem)

    no_key = await desk.terminal.run("verify", good)
    no_file = await desk.terminal.run("verify", "none.json", "--key", wrong)
    wrong_key = await desk.terminal.run("verify", good, "--key", wrong)
    no_digest = await desk.verify(as_bytes(desk.bundle()), "--digest", "latest")

    assert "mcpctl evidence key" in no_key.err
    assert "no Ed25519 key" in wrong_key.err
    assert "is no digest" in no_digest.err
    assert [done.code for done in (no_key, no_file, wrong_key, no_digest)] == [1] * 4


async def sigstore(desk: Desk, content: bytes) -> tuple[int, str]:
    """Return what Sigstore's own verifier says, which knows nothing of ours."""
    await asyncio.to_thread(ensure_installed)
    argv = node(
        "verify_bundle.mjs",
        desk.write("bundle.json", content),
        desk.write("key.pem", desk.public()),
        dsse.key_hint(id_of(desk.key)),
    )
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=environment({}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_sigstores_own_verifier_takes_our_bundles_and_no_changed_ones(
    desk: Desk,
) -> None:
    good = await sigstore(desk, as_bytes(desk.bundle()))
    changed = await sigstore(
        desk, with_payload(desk, lambda text: text.replace(b"aaaa", b"bbbb"))
    )
    strangers = await sigstore(desk, in_our_name(desk))

    assert good == (0, "verified\n")
    assert "signature verification failed" in changed[1]
    assert "signature verification failed" in strangers[1]
