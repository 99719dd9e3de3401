"""A promotion that a digest must have before it runs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import PolicyFacts, PromotionFact
from appliance.policy.reading import Field, Fields, text
from appliance.policy.rules.base import Rule

ACTIVE = "active"


@dataclass(frozen=True)
class RequirePromotion(Rule):
    """A launch needs an active promotion of its digest."""

    kind = "require-promotion"
    meaning = "Runs only while a promotion of its digest is active, on the track and stage named."
    judges_image = True
    wants_promotions = True
    own_fields: ClassVar[Fields] = {
        "track": Field(text, default=""),
        "stage": Field(text, default=""),
    }

    #: Empty: any.
    track: str = ""
    stage: str = ""

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield a note for each promotion that could lift the hold, and whether one does."""
        here = [item for item in facts.promotions if self._counts(item)]
        for item in here:
            yield Finding(f"promotion:{item.status}:{item.track}:{item.stage}")
        if any(item.status == ACTIVE for item in here):
            return
        yield Finding(
            note=f"governance:missing-promotion:{facts.tier}",
            effect=Effect.GOVERN,
            told=self._told(here),
            action=self._action(facts, here),
        )

    def _counts(self, item: PromotionFact) -> bool:
        is_named = item.track.lower() == self.track.lower()
        is_of_track = is_named if self.track else item.is_own
        return is_of_track and (
            not self.stage or item.stage.lower() == self.stage.lower()
        )

    def _where(self) -> str:
        track = (
            f"on the track {self.track}" if self.track else "on any track of its owner"
        )
        return f"{track}, stage {self.stage}" if self.stage else track

    def _told(self, here: list[PromotionFact]) -> str:
        if not here:
            return f"no promotion of it is active {self._where()}"
        newest = here[0]
        words = newest.status.replace("_", " ")
        return f"its promotion on {newest.track}, stage {newest.stage}, is {words}"

    def _action(self, facts: PolicyFacts, here: list[PromotionFact]) -> str:
        newest = here[0] if here else None
        if newest and newest.status in {"scheduled", "in_progress", "approved"}:
            return f"Bring promotion {newest.id} on {newest.track}, stage {newest.stage}, to its end."
        return f"Schedule a promotion of {facts.digest or 'its digest'} {self._where()}, and have it approved."
