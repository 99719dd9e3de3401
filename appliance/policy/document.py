"""The policy as people write it: YAML or JSON in, rules out, and how two versions differ. Pure."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.core.errors import InvalidError
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import read_fields
from appliance.policy.rules import KINDS
from appliance.policy.rules.base import TIERS, Rule

#: The only format so far.
FORMAT = 1
MAX_RULES = 200
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Policy:
    """A document that was read."""

    rules: tuple[Rule, ...] = ()

    def of(self, facts: PolicyFacts) -> tuple[Rule, ...]:
        """Return the rules that have something to say of these facts, in their order."""
        return tuple(rule for rule in self.rules if rule.applies(facts))

    def for_tier(self, tier: str) -> tuple[Rule, ...]:
        """Return the rules for a tier, in their order."""
        return tuple(rule for rule in self.rules if rule.names(tier))

    def as_dict(self) -> dict[str, Any]:
        """Return it in the one form in which it is stored."""
        return {"version": FORMAT, "rules": [rule.as_dict() for rule in self.rules]}


EMPTY = Policy()


def parse(body: Any) -> Policy:
    """Return what a document says.

    Raises:
        InvalidError: Names each field that is wrong, and says what would be right.
    """
    if not isinstance(body, Mapping):
        raise InvalidError.field("document", "give an object with version and rules")
    problems = {
        f"document.{key}": "is no field of a document; there are version and rules"
        for key in body
        if key not in {"version", "rules"}
    }
    if body.get("version") != FORMAT:
        problems["document.version"] = f"give {FORMAT}, the format that there is"
    written = body.get("rules")
    if not isinstance(written, list) or len(written) > MAX_RULES:
        problems["document.rules"] = f"give a list of at most {MAX_RULES} rules"
        written = []
    rules = [
        _rule(item, f"document.rules[{at}]", problems)
        for at, item in enumerate(written)
    ]
    if problems:
        first, what = next(iter(problems.items()))
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidError(f"{first}: {what}{more}", fields=problems)
    return Policy(tuple(rule for rule in rules if rule is not None))


def _rule(item: Any, path: str, problems: dict[str, str]) -> Rule | None:
    if not isinstance(item, Mapping):
        problems[path] = "give an object with kind and the fields of that kind"
        return None
    kind = KINDS.get(str(item.get("kind")))
    if kind is None:
        problems[f"{path}.kind"] = f"give one of {', '.join(KINDS)}"
        return None
    fields = {"tiers": TIERS, **kind.own_fields}
    values, wrong = read_fields(item, fields, {"kind"})
    problems |= {f"{path}.{name}": what for name, what in wrong.items()}
    return None if wrong else kind(**values)


def difference(before: str, after: str, names: tuple[str, str]) -> str:
    """Return what changes from one text to another, as a unified diff; empty: nothing."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), *names, lineterm="", n=3
    )
    return "\n".join(lines)
