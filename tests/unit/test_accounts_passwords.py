"""Hashing off the event loop."""

import asyncio
from collections.abc import Iterator

import pytest

from appliance.accounts import passwords as module
from appliance.accounts.errors import TooBusyError
from appliance.accounts.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    opened = Passwords()
    yield opened
    opened.close()


async def test_a_password_belongs_to_its_hash_alone(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse battery")

    # The full price: 64 MiB, three times over.
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify("correct horse battery", hashed)
    assert not await passwords.verify("wrong horse battery", hashed)
    assert not await passwords.verify("correct horse battery", "not a hash")
    assert not await passwords.verify("nobody has this password", None)


async def test_a_flood_is_sent_away_and_those_who_wait_are_served(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)

    tries = [passwords.verify("a password", None) for _ in range(10)]
    answers = await asyncio.gather(*tries, return_exceptions=True)

    assert [type(answer) for answer in answers] == [bool] * 3 + [TooBusyError] * 7
    assert not await passwords.verify("a password", None)
