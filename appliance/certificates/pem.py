"""Chains and keys as PEM: read, and refused where no client would take them."""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from appliance.certificates.errors import CertificateInvalidError
from appliance.certificates.model import MAX_PEM_BYTES, Issued, covers

_MIN_RSA_BITS = 2048
_MIN_CURVE_BITS = 256
_MAX_CHAIN = 8

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def read(
    chain: str, key: str | bytes, *, now: datetime, hosts: Sequence[str] = ()
) -> Issued:
    """Return what ``chain`` and ``key`` are, once all about them is as clients want it.

    Args:
        chain: PEM, the certificate first, then each one's issuer; the root may be left out.
        hosts: Names that it must be good for.

    Raises:
        CertificateInvalidError: It cannot be served; names the field.
    """
    certificates = _certificates(chain)
    private = _private_key(key)
    leaf = certificates[0]
    _demand_fitting_key(leaf, private)
    _demand_order(certificates)
    _demand_strength(certificates)
    issued = described(chain_text(certificates), private_pem(private))
    _demand_time(leaf, now)
    missing = [host for host in hosts if not covers(issued.names, host)]
    if missing:
        raise _wrong(
            "chain",
            f"is not for {', '.join(missing)}, but for {', '.join(issued.names)}",
        )
    return issued


def described(chain: str, key: bytes) -> Issued:
    """Return what the first certificate of ``chain`` says; nothing is checked but that it can be read."""
    leaf = _certificates(chain)[0]
    names = names_of(leaf)
    if not names:
        raise _wrong("chain", "names no host (subjectAltName); clients would refuse it")
    return Issued(
        chain=chain,
        key=key,
        names=names,
        issuer=_organisation(leaf.issuer),
        serial=f"{leaf.serial_number:x}",
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


@dataclass(frozen=True)
class Root:
    """What a root says of itself."""

    fingerprint: str
    not_after: datetime


def root_of(certificate: str) -> Root:
    """Return what a root says of itself."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    return Root(found.fingerprint(SHA256()).hex(), found.not_valid_after_utc)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the hosts and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return ()
    hosts = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(item) for item in addresses))


def general_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """Return ``names``, hosts or addresses, as a certificate says them."""
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def private_pem(key: Key) -> bytes:
    """Return a private key as PEM, in the form that everybody reads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def chain_text(certificates: Sequence[x509.Certificate]) -> str:
    """Return certificates as PEM, and nothing that stood between them."""
    return "".join(item.public_bytes(Encoding.PEM).decode() for item in certificates)


def _certificates(chain: str) -> list[x509.Certificate]:
    if len(chain) > MAX_PEM_BYTES:
        raise _wrong("chain", f"is longer than {MAX_PEM_BYTES} bytes")
    try:
        found = x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise _wrong(
            "chain",
            "is no PEM; it begins with -----BEGIN CERTIFICATE-----, the certificate first, then its issuers",
        ) from error
    if len(found) > _MAX_CHAIN:
        raise _wrong("chain", f"has more than {_MAX_CHAIN} certificates")
    return found


def _private_key(text: str | bytes) -> Key:
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_PEM_BYTES:
        raise _wrong("key", f"is longer than {MAX_PEM_BYTES} bytes")
    try:
        found = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise _wrong(
            "key",
            "is under a passphrase; take it off with: openssl pkey -in key.pem",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong(
            "key", "is no PEM of a private key; it begins with -----BEGIN PRIVATE KEY"
        ) from error
    if not isinstance(found, Key):
        raise _wrong("key", "is of a kind that TLS does not know; use RSA or ECDSA")
    return found


def _demand_fitting_key(leaf: x509.Certificate, key: Key) -> None:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise _wrong(
            "key",
            "is not the key of the first certificate in chain; the certificate stands before its issuers",
        )


def _demand_order(certificates: Sequence[x509.Certificate]) -> None:
    for position, (below, above) in enumerate(itertools.pairwise(certificates), 1):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise _wrong(
                "chain",
                f"certificate {position} was not issued by certificate {position + 1}; each stands before its issuer",
            ) from error


def _demand_strength(certificates: Sequence[x509.Certificate]) -> None:
    for position, item in enumerate(certificates, 1):
        key = item.public_key()
        is_weak = (isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS) or (
            isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _MIN_CURVE_BITS
        )  # fmt: skip
        if is_weak:
            raise _wrong(
                "chain",
                f"the key of certificate {position} is too short; RSA has {_MIN_RSA_BITS} bits, a curve {_MIN_CURVE_BITS}",
            )
        is_root = item.issuer == item.subject
        if isinstance(item.signature_hash_algorithm, SHA1 | MD5) and not is_root:
            raise _wrong("chain", f"certificate {position} is signed with SHA-1 or MD5")


def _demand_time(leaf: x509.Certificate, now: datetime) -> None:
    if leaf.not_valid_after_utc <= now:
        raise _wrong(
            "chain", f"expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if leaf.not_valid_before_utc > now:
        raise _wrong(
            "chain",
            f"counts only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on",
        )


def _organisation(name: x509.Name) -> str:
    found = {item.oid: str(item.value) for item in name}
    organisation = found.get(x509.NameOID.ORGANIZATION_NAME, "")
    common = found.get(x509.NameOID.COMMON_NAME, "")
    return " ".join(filter(None, (organisation, common))) or "unknown"


def _wrong(field: str, problem: str) -> CertificateInvalidError:
    return CertificateInvalidError(f"{field}: {problem}.", fields={field: problem})
