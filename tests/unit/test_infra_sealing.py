"""Secrets at rest open with the same secret, for the same purpose and owner, unchanged; and not otherwise."""

import pytest

from appliance.infra.sealing import SealBrokenError, Sealer

SECRET = b"s" * 32


def test_what_was_sealed_opens_after_a_restart() -> None:
    sealed = Sealer(SECRET, "hooks").seal(b"token", context="1")

    assert b"token" not in sealed
    assert Sealer(SECRET, "hooks").open(sealed, context="1") == b"token"


def test_the_same_value_sealed_twice_looks_different() -> None:
    sealer = Sealer(SECRET, "hooks")

    assert sealer.seal(b"token", context="1") != sealer.seal(b"token", context="1")


@pytest.mark.parametrize(
    ("secret", "purpose", "context"),
    [(b"t" * 32, "hooks", "1"), (SECRET, "keys", "1"), (SECRET, "hooks", "2")],
)
def test_another_secret_purpose_or_owner_opens_nothing(
    secret: bytes, purpose: str, context: str
) -> None:
    sealed = Sealer(SECRET, "hooks").seal(b"token", context="1")

    with pytest.raises(SealBrokenError):
        Sealer(secret, purpose).open(sealed, context=context)


@pytest.mark.parametrize("place", [0, 1, 13, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(place: int) -> None:
    sealed = bytearray(Sealer(SECRET, "hooks").seal(b"token", context="1"))
    sealed[place] ^= 1

    with pytest.raises(SealBrokenError):
        Sealer(SECRET, "hooks").open(bytes(sealed), context="1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), bytes(5)])
def test_bytes_that_were_never_sealed_are_refused(sealed: bytes) -> None:
    with pytest.raises(SealBrokenError):
        Sealer(SECRET, "hooks").open(sealed, context="1")
