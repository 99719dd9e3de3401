"""Whose fault an end is: the engine's, which went away, or the server's own."""

from appliance.runtimes.absences import Absences


def test_what_ended_while_nobody_listened_ended_with_the_engine() -> None:
    absences = Absences()
    absences.heard([])

    absences.lost()
    absences.heard(["a"])

    assert absences.took("a")


def test_what_ends_while_somebody_listens_does_so_by_itself() -> None:
    absences = Absences()
    absences.heard(["a"])

    assert not absences.took("b")


def test_an_end_is_not_the_servers_own_until_the_engine_is_heard_again() -> None:
    absences = Absences()
    absences.heard([])

    absences.lost()

    assert absences.took("a")


def test_one_that_is_started_meanwhile_and_ends_does_so_by_itself() -> None:
    """Or one that crashes at once would be started again and again, without a pause."""
    absences = Absences()
    absences.lost()
    absences.started("a")

    before = absences.took("a")
    absences.heard(["a"])

    assert (before, absences.took("a")) == (False, False)


def test_everything_that_had_ended_before_the_hub_began_did_so_with_the_box() -> None:
    assert Absences().took("a")
