"""How the pages say things."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.servers.model import DeploymentState, Status
from appliance.sources.model import Ecosystem, GitSource, PackageSource
from appliance.web import words
from appliance.web.answers import answer_of

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "state", "tone"),
    [
        (Status.RUNNING, DeploymentState.FAILED, "warn"),
        (Status.RUNNING, DeploymentState.LIVE, "idle"),
        (Status.ERROR, DeploymentState.FAILED, "bad"),
        (Status.STARTING, DeploymentState.PENDING, "busy"),
    ],
)
def test_a_failed_deployment_is_no_good_news_where_the_one_before_goes_on(
    status: Status, state: DeploymentState, tone: str
) -> None:
    assert words.reason_tone(status, state) == tone


def test_every_status_has_a_word_an_icon_and_a_tone() -> None:
    assert set(words.SERVER_LOOKS) == set(Status)


@pytest.mark.parametrize(
    ("distance_s", "said"),
    [(0, "just now"), (-3, "just now"), (59, "59 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"),
     (86400, "1 day ago"), (-120, "in 2 minutes")],
)  # fmt: skip
def test_times_are_told_as_distances(distance_s: int, said: str) -> None:
    assert words.relative(NOW - timedelta(seconds=distance_s), NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.08, "80 ms"), (1.42, "1.4 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_have_units(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(12, "12 B"), (512 * 1024**2, "512 MiB"), (1.5 * 1024**3, "1.5 GiB")],
)
def test_sizes_have_units(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
            "Chrome 156 on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0",
            "Edge 156 on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) AppleWebKit/605 Version/19.1 Safari/605",
            "Safari 19 on macOS",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            "Firefox 144 on Linux",
        ),
        ("python-httpx/0.28", "python-httpx"),
        ("", "Unknown"),
    ],
)
def test_browsers_are_named_as_people_know_them(user_agent: str, said: str) -> None:
    assert words.browser(user_agent) == said


def test_digests_are_shortened_and_nothing_else() -> None:
    assert words.short_digest("app@sha256:" + "ab" * 32) == "app@sha256:" + "ab" * 6
    assert words.short_digest("app:1.0") == "app:1.0"


def test_sources_read_as_they_are_written() -> None:
    assert (
        words.source_text(PackageSource(Ecosystem.NPM, "@scope/x", "1.2"))
        == "npm:@scope/x@1.2"
    )
    assert words.source_text(PackageSource(Ecosystem.PYPI, "x")) == "pypi:x"
    assert (
        words.source_text(GitSource("https://h/r.git", "main", "sub"))
        == "https://h/r.git at main, sub"
    )


def test_text_that_is_json_is_indented_and_not_said_twice() -> None:
    result = {
        "content": [{"type": "text", "text": '{"a":1}'}],
        "structuredContent": {"a": 1},
    }

    answer = answer_of(result)

    assert [part.kind for part in answer.parts] == ["json"]


def test_an_image_is_shown_only_in_a_format_without_script() -> None:
    shown, refused = answer_of(
        {"content": [{"type": "image", "mimeType": "image/png", "data": "AA=="},
                     {"type": "image", "mimeType": "image/svg+xml", "data": "AA=="}]}
    ).parts  # fmt: skip

    assert (shown.kind, refused.kind) == ("image", "other")


def test_a_link_that_is_not_to_the_web_is_text() -> None:
    (part,) = answer_of(
        {"content": [{"type": "resource_link", "uri": "javascript:alert(1)"}]}
    ).parts

    assert part.kind == "text"
