"""From the text of the egress form to a policy, and back. Pure."""

from collections.abc import Mapping

from appliance.core.egress import EgressMode, EgressPolicy, problems
from appliance.core.errors import InvalidError

MODES = (
    (EgressMode.ALLOW_LIST.value, "Only the hosts below"),
    (EgressMode.NONE.value, "Nowhere"),
    (EgressMode.OPEN.value, "Everywhere that is public"),
)
#: Of a server that is not there yet.
NEW_MODES = (("", "What it declares"), *MODES)
#: After an entry that may lead to a private address.
PRIVATE = " private"
LEARN = (("no", "No"), ("yes", "Yes"))


def values_of(policy: EgressPolicy) -> dict[str, str]:
    """Return ``policy`` as its form shows it."""
    return {
        "egress_mode": policy.mode.value,
        "egress_hosts": "\n".join(
            host + (PRIVATE if host in policy.private else "") for host in policy.hosts
        ),
        "egress_learn": "yes" if policy.learn else "no",
    }


def read(form: Mapping[str, str]) -> EgressPolicy | None:
    """Return what a filled form means; ``None``: nobody chose.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    mode, text = form.get("egress_mode", ""), form.get("egress_hosts", "")
    lines = [" ".join(line.split()).lower() for line in text.splitlines()]
    lines = list(dict.fromkeys(line for line in lines if line))
    if not mode and not lines:
        return None
    if mode and mode not in dict(MODES):
        raise InvalidError.field("egress_mode", "choose one of the list")
    policy = EgressPolicy(
        mode=EgressMode(mode or EgressMode.ALLOW_LIST),
        hosts=tuple(line.removesuffix(PRIVATE) for line in lines),
        private=tuple(
            line.removesuffix(PRIVATE) for line in lines if line.endswith(PRIVATE)
        ),
        learn=form.get("egress_learn") == "yes",
    )
    if wrong := problems(policy):
        raise InvalidError(
            "Where it may go is not valid.",
            fields={"egress_hosts": next(iter(wrong.values()))},
        )
    return policy
