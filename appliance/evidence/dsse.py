"""Envelopes, statements and bundles: bytes that any other program makes the same of. Pure.

Shapes: DSSE 1.0 (PAE and envelope), in-toto Statement v1, Sigstore bundle v0.3 with a public key's hint and no
transparency log, which is what ``cosign verify-blob-attestation --key`` and Sigstore's own libraries read.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.evidence.model import Subject

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

#: Takes bytes and returns their signature.
Sign = Callable[[bytes], bytes]


def canonical(value: Any) -> bytes:
    """Return JSON that is the same whenever the value is: sorted, no spaces, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def statement(
    subjects: Sequence[Subject], *, predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """Return an in-toto statement about ``subjects``."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [_subject(item) for item in subjects],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def _subject(item: Subject) -> dict[str, Any]:
    algorithm, _, value = item.digest.partition(":")
    found: dict[str, Any] = {"name": item.name, "digest": {algorithm: value}}
    if item.is_local:
        # A verifier that compares with a registry's digest must be able to tell why they differ.
        found["annotations"] = {"mcp-host/digest-of": "local image id"}
    return found


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and payload with their lengths, so that neither can pass for the other.

    >>> pre_authentication_encoding("t", b"hi")
    b'DSSEv1 1 t 2 hi'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_hint(key_id: str) -> str:
    """Return the hint by which a bundle names its key: base64 of the SHA-256 that ``key_id`` is."""
    return base64.b64encode(bytes.fromhex(key_id)).decode()


def bundle(payload: bytes, *, key_id: str, sign: Sign) -> bytes:
    """Return ``payload`` signed, as a Sigstore bundle."""
    signature = sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"sig": base64.b64encode(signature).decode(), "keyid": key_hint(key_id)}
        ],
    }
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": key_hint(key_id)},
                "tlogEntries": [],
            },
            "dsseEnvelope": envelope,
        }
    )


def predicate_of(content: bytes) -> dict[str, Any]:
    """Return the predicate of one of our own bundles; its signature is not looked at."""
    payload = json.loads(content)["dsseEnvelope"]["payload"]
    found: dict[str, Any] = json.loads(base64.b64decode(payload))["predicate"]
    return found
