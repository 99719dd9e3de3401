"""Secrets at rest open with the same secret, for the same purpose, unchanged; and not otherwise."""

import pytest

from appliance.infra.sealing import Sealer, UnsealError

SECRET = b"s" * 32


def test_what_was_sealed_opens_for_its_purpose_after_a_restart() -> None:
    sealed = Sealer(SECRET).seal(b"token", "webhook:1")

    assert b"token" not in sealed
    assert Sealer(SECRET).unseal(sealed, "webhook:1") == b"token"


def test_the_same_secret_sealed_twice_looks_different() -> None:
    sealer = Sealer(SECRET)

    assert sealer.seal(b"token", "a") != sealer.seal(b"token", "a")


@pytest.mark.parametrize(
    ("secret", "purpose"), [(b"t" * 32, "webhook:1"), (SECRET, "webhook:2")]
)
def test_another_secret_or_purpose_opens_nothing(secret: bytes, purpose: str) -> None:
    sealed = Sealer(SECRET).seal(b"token", "webhook:1")

    with pytest.raises(UnsealError):
        Sealer(secret).unseal(sealed, purpose)


@pytest.mark.parametrize("place", [0, 1, 13, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(place: int) -> None:
    sealed = bytearray(Sealer(SECRET).seal(b"token", "p"))
    sealed[place] ^= 1

    with pytest.raises(UnsealError):
        Sealer(SECRET).unseal(bytes(sealed), "p")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), bytes(5)])
def test_bytes_that_were_never_sealed_are_refused(sealed: bytes) -> None:
    with pytest.raises(UnsealError):
        Sealer(SECRET).unseal(sealed, "p")


def test_what_the_previous_secret_sealed_opens_and_new_things_need_it_not() -> None:
    old = Sealer(SECRET).seal(b"token", "p")
    both = Sealer(b"n" * 32, SECRET)

    assert both.unseal(old, "p") == b"token"
    assert Sealer(b"n" * 32).unseal(both.seal(b"newer", "p"), "p") == b"newer"
    with pytest.raises(UnsealError):
        Sealer(b"n" * 32).unseal(old, "p")
