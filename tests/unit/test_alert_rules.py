"""When alerts begin and end, and when somebody is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from appliance.alerts import telling
from appliance.alerts.model import Alert, Condition, News, Severity
from appliance.alerts.rules import Change, Deed, changes

T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)
LOW = Condition("health:disk", Severity.WARNING, "It is low.", "Make room.")
FULL = replace(LOW, severity=Severity.CRITICAL, text="It is full.")


def alert(**values: object) -> Alert:
    base = Alert(1, LOW.key, LOW.severity, LOW.text, LOW.hint, T0, T0)
    return replace(base, **values)  # type: ignore[arg-type]  # names of fields


def look(
    known: Alert | None,
    seen: Condition | None,
    after_s: float,
    blind: frozenset[str] = frozenset(),
) -> Change | None:
    found = changes(
        [known] if known else [],
        [seen] if seen else [],
        blind,
        T0 + timedelta(seconds=after_s),
    )
    assert len(found) < 2
    return found[0] if found else None


def news(known: Alert | None, seen: Condition | None, after_s: float) -> News | None:
    change = look(known, seen, after_s)
    return change.news if change else None


def test_what_is_new_is_written_down_and_told_only_once_it_lasts() -> None:
    first = look(None, LOW, 0)

    assert first == Change(Deed.OPEN, condition=LOW)
    assert news(alert(), LOW, 29) is None
    assert news(alert(), LOW, 30) is News.BEGAN


def test_what_needs_no_waiting_is_told_at_once() -> None:
    assert news(None, replace(LOW, after_s=0), 0) is News.BEGAN


def test_what_mends_itself_before_anybody_was_told_was_no_alert() -> None:
    change = look(alert(), None, 60)

    assert change == Change(Deed.DROP, alert())


def test_the_end_is_told_once_it_is_sure() -> None:
    told = alert(told_at=T0)

    assert look(told, None, 59) is None
    assert look(told, None, 60) == Change(Deed.END, told, news=News.ENDED)


def test_while_a_source_cannot_look_nothing_of_it_ends() -> None:
    assert look(alert(told_at=T0), None, 9999, frozenset({"health"})) is None
    assert look(alert(told_at=T0), None, 9999, frozenset({"server"})) is not None


def test_what_grows_worse_is_told_again_at_once() -> None:
    assert news(alert(told_at=T0), FULL, 5) is News.BEGAN
    assert news(alert(told_at=T0, severity=Severity.CRITICAL), LOW, 5) is None


def test_a_day_later_it_is_told_again_unless_somebody_knows() -> None:
    day = 24 * 3600
    told = alert(told_at=T0)

    assert news(told, LOW, day - 1) is None
    assert news(told, LOW, day) is News.REMINDER
    assert news(replace(told, acknowledged_by="ada"), LOW, day) is None


def test_nobody_is_told_of_what_is_silenced_and_it_ends_quietly() -> None:
    silent = alert(silenced_until=T0 + timedelta(hours=1))

    assert news(silent, FULL, 60) is None
    ended = look(silent, None, 60)
    assert ended
    assert (ended.deed, ended.news) == (Deed.END, None)
    assert news(silent, LOW, 3601) is News.BEGAN


def test_a_clock_that_was_put_back_keeps_nobody_waiting() -> None:
    future = T0 + timedelta(hours=3)

    assert news(alert(since=future), LOW, 0) is News.BEGAN
    assert news(alert(told_at=T0, last_seen=future), None, 0) is News.ENDED


def test_what_is_unchanged_is_not_written_at_every_look() -> None:
    assert look(alert(told_at=T0), LOW, 10) is None
    assert look(alert(told_at=T0), LOW, 30) is not None


def test_the_words_say_how_bad_what_and_what_to_do_and_the_end_no_more_than_that() -> (
    None
):
    began = telling.mail_text(alert(), News.BEGAN, box="b", url="u")
    ended = telling.mail_text(alert(ended_at=T0), News.ENDED, box="b", url="u")

    assert began.startswith("[warning] It is low.\n\nMake room.\n")
    assert ended.startswith("Over: It is low.\n")
    assert "Make room" not in ended
    assert telling.body(alert(), News.TEST, box="b", url="u")["event"] == "alert.test"
