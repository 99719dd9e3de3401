"""Checking signed documents with files alone: whose signature, over what, about which image.

Written from the specifications (DSSE, in-toto Statement v1, Sigstore bundle v0.3), and not from the code that signs.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
#: A bundle of a large image has a few megabytes.
MAX_BYTES = 64 * 1024 * 1024

_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class RefusedError(Exception):
    """The document is not to be believed.

    Args:
        code: Stable, for programs.
        reason: For people.
    """

    def __init__(self, code: str, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Key:
    """A public key that somebody trusts."""

    #: SHA-256 of the DER form, in hexadecimal.
    id: str
    public: Ed25519PublicKey


@dataclass(frozen=True)
class Statement:
    """What a document says, once its signature was found to be good."""

    key_id: str
    predicate_type: str
    #: ``sha256:…``.
    digests: tuple[str, ...]
    predicate: dict[str, Any]

    @property
    def kind(self) -> str:
        """``provenance`` or ``sbom``."""
        return "provenance" if self.predicate_type == PROVENANCE else "sbom"


def read_keys(text: bytes) -> list[Key]:
    """Return the keys of a PEM file, of which there may be several.

    Raises:
        RefusedError: There is none, or one of another kind than Ed25519.
    """
    found = []
    for block in _PEM.findall(text):
        try:
            public = load_pem_public_key(block)
        except ValueError as error:
            raise RefusedError(
                "bad_key", f"The key cannot be read: {error}."
            ) from error
        if not isinstance(public, Ed25519PublicKey):
            raise RefusedError("bad_key", "The key is no Ed25519 key.")
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        found.append(Key(hashlib.sha256(der).hexdigest(), public))
    if not found:
        raise RefusedError("bad_key", "There is no public key in PEM form in it.")
    return found


def check(content: bytes, keys: Sequence[Key], *, digest: str = "") -> Statement:
    """Return what a bundle says, if it is to be believed.

    Args:
        digest: ``sha256:…`` that it must speak of; empty: any.

    Raises:
        RefusedError: It is not.
    """
    bundle = _bundle(content)
    envelope = _object(bundle, "dsseEnvelope", "the bundle")
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise RefusedError(
            "wrong_payload_type",
            f"The payload is {payload_type!r}, not an in-toto statement ({PAYLOAD_TYPE}).",
        )
    payload = _bytes(envelope, "payload")
    key_id = _signer(bundle, envelope, payload, keys)
    found = _statement(payload, key_id)
    if digest and digest not in found.digests:
        raise RefusedError(
            "wrong_digest",
            f"It speaks of {', '.join(found.digests)}, not of {digest}.",
        )
    return found


def is_digest(text: str) -> bool:
    """Tell whether ``text`` is a digest as registries write it."""
    return _DIGEST.fullmatch(text) is not None


def missing(wanted: Iterable[str], found: Collection[str]) -> list[str]:
    """Return what of ``wanted`` is not in ``found``, in order."""
    return [item for item in wanted if item not in found]


def _bundle(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise RefusedError("not_a_bundle", "It is far too long for a bundle.")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError(
            "not_a_bundle",
            f"It is no whole JSON document, perhaps because it was cut off: {error}.",
        ) from error
    if not isinstance(data, dict) or data.get("mediaType") != BUNDLE_TYPE:
        raise RefusedError("not_a_bundle", f"It is no Sigstore bundle ({BUNDLE_TYPE}).")
    return data


def _signer(
    bundle: dict[str, Any],
    envelope: dict[str, Any],
    payload: bytes,
    keys: Sequence[Key],
) -> str:
    """Return the id of the key whose signature the envelope carries."""
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise RefusedError("bad_signature", "It does not carry exactly one signature.")
    if not isinstance(signatures[0], dict):
        raise RefusedError("bad_signature", "Its signature is no object.")
    signature = _bytes(signatures[0], "sig")
    signed = b"DSSEv1 %d %b %d %b" % (
        len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload,
    )  # fmt: skip
    for key in keys:
        try:
            key.public.verify(signature, signed)
        except InvalidSignature:
            continue
        return key.id
    named = _hint(bundle)
    if any(key.id == named for key in keys):
        raise RefusedError(
            "bad_signature",
            "The signature is not that of the key over this payload: one of them was changed.",
        )
    raise RefusedError(
        "wrong_key",
        f"It says that key {named or '?'} signed it; given: {', '.join(key.id for key in keys)}.",
    )


def _hint(bundle: dict[str, Any]) -> str:
    """Return the id of the key that the bundle names; it is a claim and proves nothing."""
    try:
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        return base64.b64decode(hint, validate=True).hex()
    except (KeyError, TypeError, ValueError):
        return ""


def _statement(payload: bytes, key_id: str) -> Statement:
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise RefusedError("not_a_statement", "What was signed is no JSON.") from error
    if not isinstance(data, dict) or data.get("_type") != STATEMENT_TYPE:
        raise RefusedError(
            "not_a_statement", f"What was signed is no {STATEMENT_TYPE}."
        )
    predicate_type = str(data.get("predicateType"))
    predicate = _object(data, "predicate", "the statement")
    _check_predicate(predicate_type, predicate)
    return Statement(key_id, predicate_type, _digests(data), predicate)


def _digests(data: dict[str, Any]) -> tuple[str, ...]:
    subjects = data.get("subject")
    if not isinstance(subjects, list) or not subjects:
        raise RefusedError(
            "no_subject", "It says of nothing in particular what it says."
        )
    try:
        found = tuple(f"sha256:{item['digest']['sha256']}" for item in subjects)
    except (KeyError, TypeError) as error:
        raise RefusedError("no_subject", "A subject has no SHA-256 digest.") from error
    if not all(is_digest(item) for item in found):
        raise RefusedError("no_subject", "A subject's digest is none.")
    return found


def _check_predicate(predicate_type: str, predicate: dict[str, Any]) -> None:
    if predicate_type == PROVENANCE:
        definition = _object(predicate, "buildDefinition", "the provenance")
        details = _object(predicate, "runDetails", "the provenance")
        builder = _object(details, "builder", "the provenance")
        is_whole = bool(definition.get("buildType") and builder.get("id"))
    elif predicate_type == CYCLONEDX:
        is_whole = predicate.get("bomFormat") == "CycloneDX" and isinstance(
            predicate.get("components"), list
        )
    else:
        raise RefusedError(
            "unknown_predicate",
            f"It is a {predicate_type}; known are {PROVENANCE} and {CYCLONEDX}.",
        )
    if not is_whole:
        raise RefusedError("bad_predicate", f"It is not a whole {predicate_type}.")


def _object(data: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    found = data.get(name)
    if not isinstance(found, dict):
        raise RefusedError("not_a_bundle", f"There is no {name} in {where}.")
    return found


def _bytes(data: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(data[name], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError) as error:
        raise RefusedError("not_a_bundle", f"Its {name} is no base64.") from error
