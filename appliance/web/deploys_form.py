"""From the text that a person typed into the form of a server's deployments to their policy, and back. Pure."""

from collections.abc import Mapping

from appliance.core.errors import InvalidError
from appliance.servers.deploys.policy import DeployPolicy, problems

_DEFAULT = DeployPolicy()


def policy_values(policy: DeployPolicy) -> dict[str, str]:
    """Return ``policy`` as its form shows it."""
    return {
        "drain_s": f"{policy.drain_s:.10g}",
        "retain": str(policy.retain),
        "auto_rollback": "on" if policy.auto_rollback else "",
        "watch_s": f"{policy.watch_s:.10g}",
    }


def read_policy(form: Mapping[str, str]) -> DeployPolicy:
    """Return the policy that a filled form means.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    wrong: dict[str, str] = {}
    policy = DeployPolicy(
        drain_s=_seconds(form, "drain_s", _DEFAULT.drain_s, wrong),
        retain=round(_seconds(form, "retain", _DEFAULT.retain, wrong)),
        auto_rollback=bool(form.get("auto_rollback")),
        watch_s=_seconds(form, "watch_s", _DEFAULT.watch_s, wrong),
    )
    for name, problem in problems(policy).items():
        wrong.setdefault(name.removeprefix("deploys."), problem)
    if wrong:
        raise InvalidError("Nothing was changed.", fields=wrong)
    return policy


def _seconds(
    form: Mapping[str, str], name: str, default: float, wrong: dict[str, str]
) -> float:
    text = form.get(name, "").strip()
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        wrong[name] = "give a number, such as 60"
        return default
