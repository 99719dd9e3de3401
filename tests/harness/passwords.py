"""Passwords that cost nothing; what one costs is the claim of ``tests/unit/test_accounts_passwords.py`` alone."""

from argon2 import PasswordHasher

from appliance.accounts.passwords import Passwords

_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def cheap_passwords() -> Passwords:
    """Return what hashes at the least price that there is."""
    return Passwords(_CHEAP)
