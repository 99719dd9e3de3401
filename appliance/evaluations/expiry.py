"""Certifications whose worth changes by itself: warned of before they end, and told of when they begin or end."""

import structlog

from appliance.evaluations import store
from appliance.evaluations.certifications import is_expiring, standing_of
from appliance.evaluations.model import Standing
from appliance.evaluations.telling import tell
from appliance.infra.database import Database

log = structlog.get_logger("evaluations.expiry")

#: Seconds between two looks.
EVERY_S = 60.0
#: Certifications that one transaction looks at.
AT_ONCE = 200


class ExpiryWatch:
    """Looks at certifications when their time has come; every moment of one is told of once, whatever crashes."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def look(self) -> int:
        """Tell of all that changed by now; return how many."""
        total = 0
        while found := await self._database.run(_look):
            total += found
        return total


def _look() -> int:
    due = store.next_due(AT_ONCE)
    at = store.moment()
    for item in due:
        worth = standing_of(item.finding, at)
        if worth is Standing.EXPIRED:
            tell("certification.expired", item, reviews=True)
        elif is_expiring(item.finding, at):
            tell("certification.expiring", item, reviews=True)
        else:
            tell("certification.changed", item, reviews=True)
        store.looked_at(item, at)
        log.info("evaluations.moment", certification_id=item.id, standing=worth.value)
    return len(due)
