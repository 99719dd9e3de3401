"""Passwords: what is acceptable, and argon2id.

Hashing takes about 130 ms and 64 MiB, so it runs in threads, two at a time: more would let a flood of sign-ins take the
box's memory.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.accounts.errors import TooBusyError, WeakPasswordError

T = TypeVar("T")

MIN_LENGTH = 10
MAX_BYTES = 1024
AT_ONCE = 2
#: Who comes when so many wait is sent away: a flood must not make everybody else wait for minutes.
MAX_WAITING = 40

_hasher = PasswordHasher()
#: Verified against when the address is unknown, so that both answers take the same time.
_NOBODYS = "nobody has this password"
_NOBODY = _hasher.hash(_NOBODYS)


def normalise(password: str) -> str:
    """Return the one spelling of ``password`` (NFKC), so that keyboards do not matter."""
    return unicodedata.normalize("NFKC", password)


def check_strength(password: str, *, email: str) -> str:
    """Return the normalised password.

    Raises:
        WeakPasswordError: It is shorter than 10 characters, longer than 1024 bytes, or the address itself.
    """
    normal = normalise(password)
    if len(normal) < MIN_LENGTH:
        problem = f"use at least {MIN_LENGTH} characters"
    elif len(normal.encode()) > MAX_BYTES:
        problem = f"use at most {MAX_BYTES} bytes"
    elif normal.casefold() == email.casefold():
        problem = "use something else than the e-mail address"
    else:
        return normal
    raise WeakPasswordError.field("password", problem)


class Passwords:
    """Hashes and verifies off the event loop.

    Args:
        hasher: ``None``: at the full price. Tests whose claim is another take a cheap one.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Start no thread yet."""
        self._hasher = hasher or _hasher
        self._nobody = hasher.hash(_NOBODYS) if hasher else _NOBODY
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return the PHC string of a normalised password.

        Raises:
            TooBusyError: Too many wait already.
        """
        return await self._run(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Return whether the password belongs to ``hashed``; ``None``, for nobody or none, takes as long and is never right.

        Raises:
            TooBusyError: Too many wait already.
        """
        matches = await self._run(
            self._matches, normalise(password), hashed or self._nobody
        )
        return matches and hashed is not None

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooBusyError(
                "Too many people are signing in at this moment.", retry_after_s=5
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *args)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    def _matches(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
