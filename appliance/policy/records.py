"""Facts and decisions as JSON and back, and what tells two sets of facts apart. Pure."""

import hashlib
from typing import Any

import msgspec

from appliance.policy.model import Decision, PolicyFacts


def facts_as_json(facts: PolicyFacts) -> dict[str, Any]:
    """Return facts as they are stored."""
    found: dict[str, Any] = msgspec.to_builtins(facts)
    return found


def facts_from_json(data: Any) -> PolicyFacts:
    """Return stored facts; fields that came later take their defaults."""
    return msgspec.convert(data, PolicyFacts)


def decision_as_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as it is answered."""
    found: dict[str, Any] = msgspec.to_builtins(decision)
    return found


def fingerprint(facts: PolicyFacts, document_version: int | None) -> str:
    """Return what is the same for facts that differ in their moment alone, under one document."""
    told = facts_as_json(facts) | {"at": None, "document": document_version}
    encoded = msgspec.json.encode(told, order="sorted")
    return hashlib.sha256(encoded).hexdigest()
