"""Counts what builds take, and lets none begin beyond the quota: the ``Meter`` of the builds' room."""

from datetime import datetime

from appliance.servers.quotas import rules, store
from appliance.servers.quotas.model import Level
from appliance.servers.quotas.standing import hold, require_build


class BuildMeter:
    """Runs inside ``database.run``.

    Builds of one owner are let in one after the other, each seeing those before it: of two that begin at once on the last
    minute one is refused. What is let in runs to its end, so an owner may come to more than the quota by what builds
    that had begun still take.
    """

    def begin(self, owner: int, build_id: int, attempt: int, at: datetime) -> str:
        """Write that an attempt has its turn; return a warning for its log, or nothing."""
        hold(owner)
        seen = require_build(owner)
        store.begin_use(build_id, attempt, owner, at)
        if seen.minutes.level is Level.WARNING:
            return rules.minutes_sentence(seen.name, seen.minutes)
        return ""

    def end(self, build_id: int, attempt: int, at: datetime) -> None:
        """Write that an attempt is over, however it ended."""
        store.end_use(build_id, attempt, at)
