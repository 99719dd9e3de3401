"""Signatures of Amazon's fourth version, for requests without a body. Pure."""

import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote, urlsplit

_NOTHING = hashlib.sha256(b"").hexdigest()
_SIGNED = "host;x-amz-content-sha256;x-amz-date"


def signed_headers(
    method: str, url: str, *, region: str, keys: tuple[str, str], at: datetime
) -> dict[str, str]:
    """Return the headers with which a request is let in.

    Args:
        method: Such as ``HEAD``.
        url: A query's names and values must be quoted and sorted.
        region: Where the bucket is.
        keys: The access key's id, and the secret.
        at: Now, in UTC.
    """
    parts = urlsplit(url)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    canonical = "\n".join(
        (
            method,
            quote(parts.path or "/", safe="/~"),
            parts.query,
            f"host:{parts.netloc}",
            f"x-amz-content-sha256:{_NOTHING}",
            f"x-amz-date:{stamp}",
            "",
            _SIGNED,
            _NOTHING,
        )
    )
    scope = f"{day}/{region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    key = f"AWS4{keys[1]}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "x-amz-date": stamp,
        "x-amz-content-sha256": _NOTHING,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope}, SignedHeaders={_SIGNED}, Signature={signature}",
    }
