"""What a webhook's caller must show, and how often they may call."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.servers.webhook_pace import MAX_SUBJECTS, Pace
from appliance.servers.webhook_rules import (
    DeliveryOutcome,
    GithubCall,
    has_secret,
    has_signature,
    is_well_formed,
    judge,
)
from appliance.sources.model import GitSource

NOW = datetime(2026, 1, 2, tzinfo=UTC)
#: The example of GitHub's own documentation.
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def call(signature: str = SIGNATURE, body: bytes = BODY) -> GithubCall:
    delivery = "72d3162e-cc78-11e3"
    return GithubCall("push", delivery, signature, "application/json", body)


def test_githubs_own_example_is_well_signed() -> None:
    assert has_signature(call(), SECRET)


@pytest.mark.parametrize(
    ("signature", "body", "secret"),
    [
        (SIGNATURE, BODY + b" ", SECRET),
        (SIGNATURE, BODY, SECRET + b" "),
        (SIGNATURE.upper(), BODY, SECRET),
        (SIGNATURE.removeprefix("sha256="), BODY, SECRET),
        (SIGNATURE[:-1], BODY, SECRET),
        ("", BODY, SECRET),
        ("\udcff", BODY, SECRET),
    ],
)
def test_anything_else_is_not(signature: str, body: bytes, secret: bytes) -> None:
    assert not has_signature(call(signature, body), secret)


def test_only_the_whole_secret_opens() -> None:
    assert has_secret("mcpw_x", b"mcpw_x")
    assert not any(
        has_secret(given, b"mcpw_x") for given in ("", "mcpw_", "mcpw_x ", "ü\udcff")
    )


@pytest.mark.parametrize(
    ("event", "delivery"),
    [("", "12345678"), ("Push", "12345678"), ("push", ""), ("push", "a b c d e f")],
)
def test_what_names_no_event_or_delivery_is_not_githubs(
    event: str, delivery: str
) -> None:
    assert is_well_formed(call())
    assert not is_well_formed(replace(call(), event=event, delivery_id=delivery))


@pytest.mark.parametrize(
    ("ref", "outcome"),
    [
        ("refs/heads/v1", DeliveryOutcome.QUEUED),
        ("refs/tags/v1", DeliveryOutcome.QUEUED),
        ("refs/heads/feature/v1", DeliveryOutcome.IGNORED),
        ("v1", DeliveryOutcome.IGNORED),
        (None, DeliveryOutcome.IGNORED),
        (["refs/heads/v1"], DeliveryOutcome.IGNORED),
    ],
)
def test_only_the_tracked_branch_or_tag_counts(
    ref: object, outcome: DeliveryOutcome
) -> None:
    source = GitSource("https://example.org/r.git", "v1")

    assert judge(source, "push", {"ref": ref}, now=NOW).outcome is outcome


@pytest.mark.parametrize("pushed_at", [-(10**30), 10**30, "soon", None])
def test_a_strange_time_of_a_push_breaks_nothing(pushed_at: object) -> None:
    source = GitSource("https://example.org/r.git", "v1")
    payload = {"ref": "refs/heads/v1", "repository": {"pushed_at": pushed_at}}

    judge(source, "push", payload, now=NOW)


def test_a_pace_is_kept_for_each_subject_and_forgets() -> None:
    moment = 0.0
    pace = Pace(2, 60, clock=lambda: moment)

    taken = [pace.take("a") for _ in range(3)]
    other = pace.take("b")
    moment = 60.5
    again = pace.take("a")

    assert taken == [0, 0, 60]
    assert (other, again) == (0, 0)


def test_a_pace_remembers_only_so_many() -> None:
    pace = Pace(1, 60, clock=lambda: 0.0)
    for number in range(MAX_SUBJECTS + 1):
        pace.take(str(number))

    assert pace.take("0") == 0
    assert pace.take(str(MAX_SUBJECTS)) > 0
