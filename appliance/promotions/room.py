"""Everything of promotions that the hub holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.governance.model import SYNCHRONISE
from appliance.infra.database import Database
from appliance.jobs.model import Handler
from appliance.promotions.model import WENT_LIVE
from appliance.promotions.service import PromotionService
from appliance.promotions.tasks import (
    Live,
    Sweep,
    SynchroniseTask,
    WentLiveTask,
)
from appliance.promotions.tracks import TrackService


@dataclass(frozen=True)
class Promotions:
    """Services for people, handlers for jobs, and what the clock does."""

    tracks: TrackService
    moves: PromotionService
    handlers: Mapping[str, Handler]
    sweep: Sweep


def make_promotions(database: Database, *, live: Live) -> Promotions:
    """Return promotions.

    Args:
        database: Where all of it lies.
        live: The digest that a server's clients are sent to; runs inside ``database.run``.
    """
    return Promotions(
        TrackService(database),
        PromotionService(database),
        {
            SYNCHRONISE: SynchroniseTask(database),
            WENT_LIVE: WentLiveTask(database, live),
        },
        Sweep(database),
    )
