"""What a browser carries from the password to the code: that the password was right, sealed, for five minutes."""

import hashlib
from datetime import timedelta

from appliance.core.clock import now
from appliance.infra.sealing import Sealer, UnsealError

LASTS = timedelta(minutes=5)
_PURPOSE = "sign-in ticket"


def issue(sealer: Sealer, user_id: int, password_hash: str) -> str:
    """Return a ticket; a change of the password ends it."""
    ends = int((now() + LASTS).timestamp())
    plain = f"{user_id}:{ends}:{_print(password_hash)}"
    return sealer.seal(plain.encode(), _PURPOSE).hex()


def holder(sealer: Sealer, ticket: str) -> tuple[int, str] | None:
    """Return whose ticket it is, and the print of the password that was right; ``None``: it is none, or ran out."""
    try:
        plain = sealer.unseal(bytes.fromhex(ticket), _PURPOSE).decode()
    except (UnsealError, ValueError):
        return None
    user_id, ends, password_print = plain.split(":")
    if int(ends) < now().timestamp():
        return None
    return int(user_id), password_print


def fits(password_print: str, password_hash: str) -> bool:
    """Return whether the password is still the one that was right."""
    return password_print == _print(password_hash)


def _print(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()
