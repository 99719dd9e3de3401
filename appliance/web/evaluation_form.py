"""The forms of tests, suites, replays and certifications: controls to wishes and back. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from appliance.core.errors import InvalidError
from appliance.evaluations.model import Finding, Status
from appliance.evaluations.replay.calls import CALLS, MOST_CALLS
from appliance.evaluations.starting import NewReplay
from appliance.evaluations.suites import (
    TIMEOUT_S,
    Certifies,
    NewSuite,
    NewTest,
    Schedule,
    Suite,
    Test,
)

N = TypeVar("N", int, float)
_MINUTE_S = 60
#: Kind, example, and when it passes.
KINDS = (
    (
        "exact",
        '{"kind": "exact", "value": "pong"}',
        "text or structured content is exactly this",
    ),
    (
        "schema",
        '{"kind": "schema", "schema": {"type": "object", "required": ["timezone"]}}',
        "structured content, or JSON in the text, is as the JSON schema says",
    ),
    (
        "jsonpath",
        '{"kind": "jsonpath", "path": "$.items[*].price", "count": 3}',
        "the path finds something; with equals or count, just that",
    ),
    (
        "regex",
        '{"kind": "regex", "pattern": "UTC|Z$"}',
        "the expression (RE2) is found in the text",
    ),
    (
        "similarity",
        '{"kind": "similarity", "text": "It is noon.", "at_least": 0.9}',
        "the text is so much alike, by Jaro-Winkler",
    ),
    (
        "error",
        '{"kind": "error", "contains": "Invalid timezone"}',
        "the call fails, and says so",
    ),
)


def test_of_form(form: Mapping[str, str]) -> NewTest:
    """Return the test that a form describes.

    Raises:
        InvalidError: A control holds what it cannot; names it.
    """
    timeout = _number(form.get("timeout_s", ""), float, "timeout_s")
    return NewTest(
        name=form.get("name", ""),
        tool=form.get("tool", "").strip(),
        arguments=_object(form.get("arguments", ""), "arguments"),
        expectation=_object(form.get("expectation", ""), "expectation"),
        timeout_s=TIMEOUT_S if timeout is None else timeout,
    )


def values_of_test(test: Test | None) -> dict[str, str]:
    """Return the controls of a test; ``None``: of a new one."""
    if test is None:
        return {"arguments": "{}", "expectation": "", "timeout_s": f"{TIMEOUT_S:g}"}
    wanted = test.wanted
    return {
        "name": wanted.name,
        "tool": wanted.tool,
        "arguments": _text(wanted.arguments),
        "expectation": _text(wanted.expectation),
        "timeout_s": f"{wanted.timeout_s:g}",
    }


def suite_of_form(form: Mapping[str, str], tests: Sequence[Test]) -> NewSuite:
    """Return the suite that a form describes.

    Raises:
        InvalidError: A control holds what it cannot; names it.
    """
    ids = {item.wanted.name: item.id for item in tests}
    names = [line.strip() for line in form.get("tests", "").splitlines()]
    chosen = [name for name in names if name]
    for name in chosen:
        if name not in ids:
            raise InvalidError.field("tests", f"there is no test {name}")
    percent = _number(form.get("pass_percent", ""), float, "pass_percent")
    if percent is not None and not 0 < percent <= 100:  # noqa: PLR2004 - percent
        raise InvalidError.field("pass_percent", "give more than 0, and at most 100")
    return NewSuite(
        name=form.get("name", ""),
        test_ids=tuple(ids[name] for name in chosen),
        pass_share=1.0 if percent is None else percent / 100,
        certifies=_certifies(form),
        schedule=_schedule(form),
    )


def values_of_suite(suite: Suite | None, tests: Sequence[Test]) -> dict[str, str]:
    """Return the controls of a suite; ``None``: of a new one with all tests."""
    if suite is None:
        return {"tests": "\n".join(item.wanted.name for item in tests)}
    wanted = suite.wanted
    names = {item.id: item.wanted.name for item in tests}
    certifies, schedule = wanted.certifies, wanted.schedule
    every_s = schedule.every_s if schedule else None
    days = certifies.valid_days if certifies else None
    return {
        "name": wanted.name,
        "pass_percent": f"{100 * wanted.pass_share:g}",
        "tests": "\n".join(names[item] for item in wanted.test_ids if item in names),
        "cron": schedule.cron if schedule else "",
        "every_minutes": f"{every_s / _MINUTE_S:g}" if every_s else "",
        "requirement": certifies.requirement if certifies else "",
        "tier": certifies.tier if certifies else "",
        "valid_days": str(days) if days else "",
    }


def replay_of_form(form: Mapping[str, str]) -> tuple[NewReplay, int | None]:
    """Return the replay that a form describes, and the number of the deployment that is asked.

    Raises:
        InvalidError: A control holds what it cannot; names it.
    """
    limit = _number(form.get("limit", ""), int, "limit")
    if limit is not None and not 1 <= limit <= MOST_CALLS:
        raise InvalidError.field("limit", f"give 1 to {MOST_CALLS}")
    tools = [name.strip() for name in form.get("tools", "").split(",")]
    wanted = NewReplay(
        tools=tuple(name for name in tools if name),
        limit=CALLS if limit is None else limit,
        certifies=_certifies(form),
    )
    return wanted, _number(form.get("deployment", ""), int, "deployment")


def finding_of_form(
    form: Mapping[str, str], status: Status, *, at: Any, warn_days: int
) -> Finding:
    """Return what a form says was found.

    Raises:
        InvalidError: A control holds what it cannot; names it.
    """
    days = _days(form)
    is_pass = status is Status.PASS
    return Finding(
        status=status,
        note=form.get("note", "")[:2000],
        valid_until=at + timedelta(days=days) if days and is_pass else None,
        warn_days=warn_days,
    )


def _certifies(form: Mapping[str, str]) -> Certifies | None:
    requirement = form.get("requirement", "").strip()
    if not requirement:
        return None
    return Certifies(requirement, form.get("tier", "").strip(), _days(form))


def _days(form: Mapping[str, str]) -> int | None:
    days = _number(form.get("valid_days", ""), int, "valid_days")
    if days is not None and not 1 <= days <= 3660:  # noqa: PLR2004 - ten years
        raise InvalidError.field("valid_days", "give 1 to 3660 days, or nothing")
    return days


def _schedule(form: Mapping[str, str]) -> Schedule | None:
    minutes = _number(form.get("every_minutes", ""), float, "every_minutes")
    cron = form.get("cron", "").strip()
    if minutes is None and not cron:
        return None
    return Schedule(None if minutes is None else int(minutes * _MINUTE_S), cron)


def _object(text: str, control: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidError.field(control, f"is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidError.field(control, "must be a JSON object, such as {}")
    return found


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), indent=2, ensure_ascii=False)


def _number(text: str, kind: Callable[[str], N], field: str) -> N | None:
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError:
        raise InvalidError.field(field, "give a number, or nothing") from None
