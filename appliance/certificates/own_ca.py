"""The box's own certificate authority: whoever trusts its root reaches the box safely from the first second on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance.certificates import pem
from appliance.certificates.model import Issued

#: A root that people took into their systems by hand is not exchanged often.
ROOT_LIFE = timedelta(days=3650)
#: Apple's systems take no certificate of a longer life, whoever issued it.
LEAF_LIFE = timedelta(days=397)
#: Clocks of clients may be a little behind.
_BACKDATED = timedelta(days=1)
#: What an issuer is called that is ours, before its own mark.
NAME = "MCP Host own CA"
_MAX_COMMON_NAME = 64


@dataclass(frozen=True)
class OwnCa:
    """The authority, able to issue."""

    #: PEM.
    certificate: str
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def made(cls, now: datetime) -> "OwnCa":
        """Return a new one. A few milliseconds."""
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        # Two boxes, or a box made anew, are told apart in a browser's list.
        name = _name(f"{NAME} {serial % 16**6:06x}")
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key.public_key(), serial)
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + ROOT_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, SHA256())
        )
        return cls(pem.chain_text([certificate]), key)

    @classmethod
    def read(cls, certificate: str, key: bytes) -> "OwnCa":
        """Return the one that was kept.

        Raises:
            ValueError: It is none.
        """
        private = load_pem_private_key(key, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("the own CA's key is of another kind")  # noqa: TRY004 - the file is wrong, no argument
        found = cls(certificate, private)
        if found._issuer.public_key() != private.public_key():
            raise ValueError("the own CA's key is another's")
        return found

    @property
    def key_pem(self) -> bytes:
        """The private key, to be sealed."""
        return pem.private_pem(self.key)

    @property
    def _issuer(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def common_name(self) -> str:
        """What its certificates say of their issuer."""
        found = self._issuer.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(found[0].value)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root, as browsers show it, without colons."""
        return self._issuer.fingerprint(SHA256()).hex()

    @property
    def not_after(self) -> datetime:
        """When the root ends."""
        return self._issuer.not_valid_after_utc

    def issue(self, names: Sequence[str], now: datetime) -> Issued:
        """Return a certificate for ``names``, hosts or addresses, with a new key. Under a millisecond or two.

        Args:
            names: At least one.
        """
        issuer = self._issuer
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now + LEAF_LIFE, issuer.not_valid_after_utc)
        leaf = (
            _builder(_name(names[0][:_MAX_COMMON_NAME]), issuer.subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(end)
            .add_extension(pem.general_names(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )  # fmt: skip
        return pem.described(pem.chain_text([leaf, issuer]), pem.private_pem(key))

    def issued(self, chain: str) -> bool:
        """Return whether the first certificate of ``chain`` is ours."""
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        return leaf.issuer == self._issuer.subject


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
