"""When an authority wants a certificate renewed (ARI, RFC 9773). Pure."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from cryptography import x509


@dataclass(frozen=True)
class Window:
    """The time within which it is to be renewed."""

    start: datetime
    end: datetime

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self | None:
        """Return what an authority answered; ``None``: nothing that makes sense."""
        said = answer.get("suggestedWindow")
        if not isinstance(said, Mapping):
            return None
        try:
            start, end = (
                datetime.fromisoformat(str(said[name])).astimezone(UTC)
                for name in ("start", "end")
            )
        except (KeyError, ValueError, OverflowError):
            return None
        return cls(start, end) if start < end else None


def window_id(chain: str) -> str:
    """Return how the authority knows the first certificate of ``chain``: who issued it, and its number there."""
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    issuer = leaf.extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier
    ).value.key_identifier
    number = leaf.serial_number
    # As DER writes whole numbers: with room for the sign.
    serial = number.to_bytes(number.bit_length() // 8 + 1)
    return f"{_base64(issuer or b'')}.{_base64(serial)}"


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
