"""When a certificate is ordered, renewed, tried again and revoked; and that nothing ever orders in a loop."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.certificates.lifecycle import (
    ISSUED_A_WEEK,
    ORDERS_AN_HOUR,
    PATIENCE,
    Facts,
    Forget,
    Order,
    Revoke,
    Wait,
    backoff,
    failed_again,
    is_misfit,
    is_near_end,
    mended,
    renewal,
    renewal_in,
    step,
)
from appliance.certificates.model import ErrorKind, Kind, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def facts(**given: object) -> Facts:
    said: dict[str, object] = {
        "kind": Kind.ACME,
        "status": Status.WANTED,
        "is_wanted": True,
        **given,
    }
    return Facts(**said)  # type: ignore[arg-type]


def issued(days: float = 90, at: datetime = NOW, **given: object) -> Facts:
    end = at + days * DAY
    return facts(
        status=Status.VALID,
        not_before=at,
        not_after=end,
        renew_at=renewal(at, end, "7"),
        **given,
    )


def test_what_is_wanted_and_not_there_is_ordered_at_once() -> None:
    assert isinstance(step(facts(), NOW), Order)


@pytest.mark.parametrize("days", [90, 6])
def test_a_good_one_waits_for_two_thirds_of_its_life(days: float) -> None:
    found = step(issued(days), NOW)

    assert isinstance(found, Wait)
    assert found.until is not None
    assert 0.6 * days * DAY < found.until - NOW <= 2 / 3 * days * DAY
    assert isinstance(step(issued(days), NOW + 2 / 3 * days * DAY), Order)


def test_one_that_ended_while_the_box_was_off_is_ordered_at_once() -> None:
    assert isinstance(step(issued(), NOW + 200 * DAY), Order)


def test_a_clock_set_back_before_its_beginning_orders_nothing() -> None:
    assert isinstance(step(issued(), NOW - 365 * DAY), Wait)


def test_what_failed_waits_and_says_until_when() -> None:
    failed = facts(
        status=Status.FAILED, attempts=3, next_attempt_at=NOW + timedelta(minutes=20)
    )

    assert step(failed, NOW) == Wait(
        NOW + timedelta(minutes=20), "The last attempt failed."
    )
    assert isinstance(step(failed, NOW + timedelta(minutes=21)), Order)


def test_an_authority_that_is_down_is_left_alone_by_all() -> None:
    assert isinstance(step(facts(authority_until=NOW + DAY), NOW), Wait)


def test_an_interrupted_order_goes_on_although_the_weeks_are_used_up() -> None:
    used_up = (NOW,) * ISSUED_A_WEEK

    begun = facts(status=Status.ORDERING, has_order=True, issued=used_up)

    assert isinstance(step(begun, NOW), Order)
    assert step(facts(issued=used_up), NOW) == Wait(
        NOW + 7 * DAY, "It was ordered as often as authorities allow."
    )


def test_without_an_account_nothing_is_ordered_and_it_says_why() -> None:
    assert step(facts(obstacle="ACME_EMAIL is not set."), NOW) == Wait(
        None, "ACME_EMAIL is not set."
    )


def test_what_nobody_wants_is_revoked_where_somebody_might_still_believe_it() -> None:
    assert isinstance(step(issued(is_wanted=False), NOW), Revoke)
    assert isinstance(step(issued(is_wanted=False), NOW + 91 * DAY), Forget)
    assert isinstance(step(issued(is_wanted=False, kind=Kind.UPLOADED), NOW), Forget)
    assert isinstance(step(facts(is_wanted=False), NOW), Forget)


def test_one_that_was_revoked_is_ordered_again_unless_somebody_revoked_it() -> None:
    by_hand = facts(status=Status.REVOKED, is_revoked_by_hand=True)

    assert step(by_hand, NOW) == Wait(None, "It was revoked.")
    assert isinstance(step(facts(status=Status.REVOKED), NOW), Order)
    assert isinstance(step(facts(status=Status.REVOKED, is_wanted=False), NOW), Forget)


def test_uploaded_ones_are_never_ordered() -> None:
    assert isinstance(step(issued(kind=Kind.UPLOADED), NOW + 200 * DAY), Wait)


def test_one_of_another_authority_is_ordered_anew() -> None:
    assert isinstance(step(issued(is_outdated=True), NOW), Order)


def test_a_window_is_kept_to_and_never_beyond_the_end() -> None:
    end = NOW + 6 * DAY

    inside = renewal_in(NOW + 2 * DAY, NOW + 3 * DAY, end, "7")
    beyond = renewal_in(NOW + 20 * DAY, NOW + 21 * DAY, end, "7")

    assert NOW + 2 * DAY <= inside <= NOW + 3 * DAY
    assert inside == renewal_in(NOW + 2 * DAY, NOW + 3 * DAY, end, "7")
    assert beyond < end


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_failure_waits_longer_up_to_its_longest(kind: ErrorKind) -> None:
    waits = [backoff(kind, attempt, None, "7") for attempt in range(1, 30)]

    assert waits[0] >= PATIENCE[kind].first
    assert waits[-1] <= PATIENCE[kind].longest * 1.1
    assert waits[0] < waits[-1]


def test_what_the_authority_asks_for_is_kept_to() -> None:
    asked = backoff(ErrorKind.RATE_LIMITED, 1, timedelta(hours=30), "7")

    assert timedelta(hours=30) <= asked <= timedelta(hours=33)
    assert backoff(ErrorKind.RATE_LIMITED, 1, 900 * DAY, "7") < 10 * DAY


def test_a_clock_that_was_years_ahead_makes_nobody_wait_for_years() -> None:
    ahead = NOW + 1000 * DAY
    then = facts(
        status=Status.FAILED,
        attempted_at=ahead,
        next_attempt_at=ahead + timedelta(hours=1),
        issued=(ahead,) * ISSUED_A_WEEK,
    )

    found = mended(then, NOW)

    assert found.next_attempt_at == NOW + timedelta(hours=1)
    assert found.issued == (NOW,) * ISSUED_A_WEEK


def test_a_certificate_that_does_not_count_now_shows_a_wrong_clock() -> None:
    assert is_misfit(NOW, NOW + 90 * DAY, NOW + 100 * DAY)
    assert is_misfit(NOW, NOW + 90 * DAY, NOW - DAY)
    assert not is_misfit(NOW, NOW + 90 * DAY, NOW - timedelta(minutes=1))


def test_the_last_days_are_told() -> None:
    assert not is_near_end(NOW, NOW + 90 * DAY, NOW + 82 * DAY)
    assert is_near_end(NOW, NOW + 90 * DAY, NOW + 83 * DAY)
    assert is_near_end(NOW, NOW + 6 * DAY, NOW + 5.6 * DAY)


class Box:
    """One certificate on a box whose authority, power and clock do as they are told."""

    def __init__(self, life: timedelta) -> None:
        self.life = life
        self.real = NOW
        #: What the box's clock is ahead.
        self.ahead = timedelta(0)
        self.facts = facts()
        self.failed: ErrorKind | None = None
        self.orders: list[datetime] = []
        self.issued: list[datetime] = []

    @property
    def now(self) -> datetime:
        return self.real + self.ahead

    def live(self, minutes: int, outcome: ErrorKind | str) -> None:
        self.real += timedelta(minutes=minutes)
        self.facts = mended(self.facts, self.now)
        # As often as it likes: a step that says "order" is answered at once, and asked again at once.
        for _ in range(3):
            if not isinstance(step(self.facts, self.now), Order):
                return
            self._order(outcome)

    def _order(self, outcome: ErrorKind | str) -> None:
        if not self.facts.has_order:
            self.orders.append(self.real)
            self._set(orders=(*self.facts.orders, self.now))
        self._set(attempted_at=self.now, status=Status.ORDERING, has_order=True)
        if outcome == "killed":
            return
        if isinstance(outcome, ErrorKind):
            self._fail(outcome)
            return
        self.issued.append(self.real)
        end = self.real + self.life
        if is_misfit(self.real, end, self.now):
            self._fail(ErrorKind.WRONG)
            return
        self._set(
            status=Status.VALID,
            has_order=False,
            attempts=0,
            next_attempt_at=None,
            not_before=self.real,
            not_after=end,
            renew_at=renewal(self.real, end, "7"),
            issued=(*self.facts.issued, self.now),
        )

    def _fail(self, kind: ErrorKind) -> None:
        attempts = failed_again(self.facts.attempts, self.failed, kind)
        self.failed = kind
        self._set(
            status=Status.FAILED,
            has_order=False,
            attempts=attempts,
            next_attempt_at=self.now + backoff(kind, attempts, None, "7"),
        )

    def _set(self, **values: object) -> None:
        said = {**self.facts.__dict__, **values}
        self.facts = Facts(**said)


def most_within(times: list[datetime], span: timedelta) -> int:
    return max(
        (sum(at <= later < at + span for later in times) for at in times), default=0
    )


#: What comes of an order.
OUTCOMES = (*["issued"] * 20, *ErrorKind, "killed")
PAUSES_MIN = (0, 1, 5, 30, 90, 240, 1440)
#: Minutes that the clock is behind; it is seldom set.
BEHIND_MIN = (*[0] * 100, 60, 1440, 100_000)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([timedelta(hours=1), 6 * DAY, 90 * DAY]),
)
def test_it_never_orders_in_a_loop(seed: int, life: timedelta) -> None:
    # Hypothesis' own lists repeat themselves too much to come near a limit.
    chance = random.Random(seed)
    box = Box(life)
    sets = 1

    for _ in range(60):
        behind = timedelta(minutes=chance.choice(BEHIND_MIN))
        sets += box.ahead != -behind
        box.ahead = -behind
        box.live(chance.choice(PAUSES_MIN), chance.choice(OUTCOMES))

    # Each time that the clock is set, a week may seem to have gone by.
    assert most_within(box.issued, 7 * DAY) <= ISSUED_A_WEEK * sets
    assert most_within(box.orders, timedelta(hours=1)) <= ORDERS_AN_HOUR * sets
