"""One-time passwords (RFC 6238: SHA-1, 30 seconds, 6 digits) and recovery codes. Pure but for chance."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

#: RFC 4226 wants as many as the hash has.
SECRET_BYTES = 20
STEP_S = 30
DIGITS = 6
#: Steps before and after the present one that are taken too: clocks differ, and people type slowly.
DRIFT = 1
RECOVERY_CODES = 10
#: 80 bits, so that a hash without salt and stretching keeps them.
RECOVERY_BYTES = 10
#: Who the app says it is for.
ISSUER = "MCP Host"


def new_secret() -> bytes:
    """Return a secret for one person's app."""
    return secrets.token_bytes(SECRET_BYTES)


def in_letters(secret: bytes) -> str:
    """Return ``secret`` as people type it into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, email: str) -> str:
    """Return the address that apps take a secret from."""
    label = quote(f"{ISSUER}:{email}", safe="")
    told = {"secret": in_letters(secret), "issuer": ISSUER}
    return f"otpauth://totp/{label}?{urlencode(told, quote_via=quote)}"


def code_at(secret: bytes, step: int) -> str:
    """Return the code of one step of 30 seconds since 1970."""
    # SHA-1 is what the standard's apps know; that it collides does not weaken an HMAC.
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(secret: bytes, code: str, moment: datetime) -> int | None:
    """Return the step that ``code`` belongs to, if it is one about now; all are compared, whichever matches."""
    present = int(moment.timestamp()) // STEP_S
    digits = "".join(code.split())
    found = None
    for step in range(present - DRIFT, present + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), digits.encode()):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return codes such as ``abcd-efgh-ijkl-mnop``."""
    return [_grouped(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]  # fmt: skip


def _grouped(raw: bytes) -> str:
    letters = base64.b32encode(raw).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def normal(code: str) -> str:
    """Return a recovery code in the one spelling that is hashed, however it was typed."""
    return "".join(code.split()).replace("-", "").lower()
