"""The form of a workflow: controls to what is asked for, and back. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.core.errors import InvalidError
from appliance.governance.model import NewWorkflow, Notify, Step, Workflow
from appliance.governance.steps import APPROVAL, KINDS
from appliance.governance.steps.approval import line_of

#: Steps that the form has room for.
MAX_STEPS = 20
ADD = "add"
#: Buttons beside a step.
REMOVE, UP = "remove", "up"


def empty() -> dict[str, str]:
    """Return the controls of a new workflow: one approval, which is what most want."""
    step = Step("Review", APPROVAL, KINDS[APPROVAL].parse({}))
    return {"name": "", "description": "", "tier": "*", "expires_after_s": ""} | {
        "emails": "",
        "webhooks": "",
        "org": "",
        **_controls([step]),
    }


def of_workflow(workflow: Workflow) -> dict[str, str]:
    """Return the controls of a workflow that there is."""
    return {
        "name": workflow.name,
        "description": workflow.description,
        "tier": workflow.tier,
        "expires_after_s": str(workflow.expires_after_s or ""),
        "emails": "\n".join(workflow.notify.emails),
        "webhooks": "\n".join(workflow.notify.webhooks),
        "version": str(workflow.version),
        **_controls(list(workflow.steps)),
    }


def new_workflow(form: Mapping[str, str]) -> NewWorkflow:
    """Return what a form asks for.

    Raises:
        InvalidError: A number is none.
    """
    return NewWorkflow(
        name=form.get("name", "").strip(),
        description=form.get("description", "").strip(),
        tier=form.get("tier", "").strip() or "*",
        expires_after_s=_seconds(form, "expires_after_s"),
        notify=Notify(
            tuple(_lines(form.get("emails", ""))),
            tuple(_lines(form.get("webhooks", ""))),
        ),
        steps=tuple(_step(form, number) for number in range(count(form))),
        org=form.get("org") or None,
    )


def count(form: Mapping[str, str]) -> int:
    """Return how many steps a form has."""
    number = 0
    while f"steps.{number}.kind" in form and number < MAX_STEPS:
        number += 1
    return number


def rearranged(form: Mapping[str, str]) -> dict[str, str] | None:
    """Return the form after a button that changes its steps; ``None``: it was sent to be kept."""
    groups = [_group(form, number) for number in range(count(form))]
    if (kind := form.get(ADD, "")) in KINDS:
        label = KINDS[kind].label
        groups.append({"kind": kind, "name": label, **_defaults(kind)})
    elif (place := _place(form, REMOVE, len(groups))) is not None:
        groups.pop(place)
    elif (place := _place(form, UP, len(groups))) is not None and place:
        groups[place - 1], groups[place] = groups[place], groups[place - 1]
    else:
        return None
    rest = {
        name: value
        for name, value in form.items()
        if not name.startswith("steps.") and name not in {ADD, REMOVE, UP}
    }
    for number, group in enumerate(groups[:MAX_STEPS]):
        rest |= {f"steps.{number}.{name}": value for name, value in group.items()}
    return rest


def _place(form: Mapping[str, str], button: str, steps: int) -> int | None:
    text = form.get(button, "")
    is_place = text.isascii() and text.isdigit() and len(text) < 3 and int(text) < steps  # noqa: PLR2004 - there are at most 20 # fmt: skip
    return int(text) if is_place else None


def _group(form: Mapping[str, str], number: int) -> dict[str, str]:
    start = f"steps.{number}."
    return {
        name.removeprefix(start): value
        for name, value in form.items()
        if name.startswith(start)
    }


def _defaults(kind: str) -> dict[str, str]:
    return {f"config.{item.name}": item.default for item in KINDS[kind].settings}


def _step(form: Mapping[str, str], number: int) -> Step:
    group = _group(form, number)
    kind = KINDS.get(group.get("kind", ""))
    config: dict[str, Any] = {}
    for item in kind.settings if kind else ():
        value = group.get(f"config.{item.name}", "")
        if item.control == "check":
            config[item.name] = value == "on"
        elif value.strip():
            config[item.name] = value
    return Step(
        group.get("name", "").strip(),
        group.get("kind", ""),
        config,
        _seconds(group, "timeout_s", f"steps.{number}.timeout_s"),
    )


def _seconds(form: Mapping[str, str], name: str, field: str = "") -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - an integer of Postgres
        raise InvalidError.field(field or name, "give seconds, or nothing")
    return int(text)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _controls(steps: list[Step]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, step in enumerate(steps):
        start = f"steps.{number}."
        found |= {
            f"{start}kind": step.kind,
            f"{start}name": step.name,
            f"{start}timeout_s": str(step.timeout_s or ""),
        }
        for item in KINDS[step.kind].settings:
            value = step.config[item.name]
            found[f"{start}config.{item.name}"] = _shown(item.name, value)
    return found


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    if name == "groups":
        return "\n".join(line_of(group) for group in value)
    return "\n".join(value) if isinstance(value, list) else str(value)
