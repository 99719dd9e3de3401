"""For which platforms an artifact must have been built. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from appliance.core.platforms import platform_of
from appliance.policy.findings import Effect, Finding
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import Field, Fields, ReadError, some
from appliance.policy.rules.base import Rule


def _platform(value: Any) -> str:
    try:
        return platform_of(str(value))
    except ValueError as error:
        raise ReadError(str(error)) from None


@dataclass(frozen=True)
class RequirePlatforms(Rule):
    """An image must exist for each of these."""

    kind = "require-platforms"
    meaning = "Runs only if the artifact was built for every platform named."
    judges_image = True
    own_fields: ClassVar[Fields] = {"platforms": Field(some(_platform))}

    platforms: tuple[str, ...]

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield whether all were built."""
        if facts.request.source_kind == "remote":
            return
        built = facts.artifact.platforms if facts.artifact else ()
        missing = [item for item in self.platforms if item not in built]
        if not missing:
            yield Finding(f"platforms:complete:{facts.tier}")
        for item in missing:
            yield Finding(
                note=f"platforms:missing:{item}",
                effect=Effect.REFUSE,
                told=f"it was not built for {item}",
                action=f"Add {item} to REGISTRY_ARCH_TARGETS and redeploy it.",
            )
