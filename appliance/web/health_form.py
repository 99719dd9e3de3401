"""From the text that a person typed into the form of a server's checks to their policy, and back. Pure."""

import json
from collections.abc import Mapping

from appliance.core.errors import InvalidError
from appliance.servers.health.policy import Canary, HealthPolicy, problems

_DEFAULT = HealthPolicy()


def policy_values(policy: HealthPolicy) -> dict[str, str]:
    """Return ``policy`` as its form shows it."""
    canary = policy.canary
    has_arguments = canary is not None and canary.arguments
    return {
        "interval_s": f"{policy.interval_s:.10g}",
        "timeout_s": f"{policy.timeout_s:.10g}",
        "failures": str(policy.failures),
        "successes": str(policy.successes),
        "canary_tool": canary.tool if canary else "",
        "canary_arguments": json.dumps(canary.arguments, ensure_ascii=False)
        if canary and has_arguments
        else "",
    }


def read_policy(form: Mapping[str, str]) -> HealthPolicy:
    """Return the policy that a filled form means.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    wrong: dict[str, str] = {}
    policy = HealthPolicy(
        interval_s=_seconds(form, "interval_s", _DEFAULT.interval_s, wrong),
        timeout_s=_seconds(form, "timeout_s", _DEFAULT.timeout_s, wrong),
        failures=_count(form, "failures", wrong),
        successes=_count(form, "successes", wrong),
        canary=_canary(form, wrong),
    )
    for name, problem in problems(policy).items():
        control = name.removeprefix("health.").replace(".", "_")
        wrong.setdefault(control, problem)
    if wrong:
        raise InvalidError("The checks were not changed.", fields=wrong)
    return policy


def _seconds(
    form: Mapping[str, str], name: str, default: float, wrong: dict[str, str]
) -> float:
    text = form.get(name, "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        wrong[name] = "give a number of seconds, such as 30"
        return default


def _count(form: Mapping[str, str], name: str, wrong: dict[str, str]) -> int:
    text = form.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit()):
        wrong[name] = "give a whole number, such as 1"
        return 1
    return int(text) if text else 1


def _canary(form: Mapping[str, str], wrong: dict[str, str]) -> Canary | None:
    tool = form.get("canary_tool", "").strip()
    text = form.get("canary_arguments", "").strip()
    if not tool:
        if text:
            wrong["canary_tool"] = "name the tool that these arguments are for"
        return None
    try:
        arguments = json.loads(text) if text else {}
    except (json.JSONDecodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        wrong["canary_arguments"] = 'give a JSON object, such as {"timezone": "UTC"}'
        return None
    return Canary(tool, arguments)
