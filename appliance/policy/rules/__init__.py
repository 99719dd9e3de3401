"""Kinds of rule, one a file; a new one adds its line to ``KINDS``."""

from collections.abc import Mapping

from appliance.policy.rules.base import Rule
from appliance.policy.rules.deny_source import DenySource
from appliance.policy.rules.prefer_backend import PreferBackend
from appliance.policy.rules.require_capability import RequireCapability
from appliance.policy.rules.require_certification import RequireCertification
from appliance.policy.rules.require_evidence import RequireEvidence
from appliance.policy.rules.require_isolation import RequireIsolation
from appliance.policy.rules.require_platforms import RequirePlatforms
from appliance.policy.rules.require_promotion import RequirePromotion

#: Every kind of rule, by what documents call it.
KINDS: Mapping[str, type[Rule]] = {
    item.kind: item
    for item in (
        RequireCertification,
        RequirePromotion,
        RequireEvidence,
        RequirePlatforms,
        RequireIsolation,
        RequireCapability,
        PreferBackend,
        DenySource,
    )
}
