"""In hundreds of made-up afternoons, with principals of every kind at servers of every kind, no secret reaches another.

Everybody uses the same servers at the same time, in both eras: calls with progress and log messages, questions back,
subscriptions, lists, streams held open, and the session ids and request states of others tried on. The servers tell
everything they hear on every way they have. Looked at: every byte that anybody received, the log, and the traces.
"""

import asyncio
import re
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.cluster import throw_away_cluster
from tests.fakes.mcp_box import Box
from tests.harness.gossips import Gossips, casts, gossips, scripts
from tests.proofs.claim import hold

AFTERNOONS = 250
#: Until the last traces are rows.
SCRIBE_S = 2
SECRET = re.compile(r"secret-[0-9a-f]{16}")


class Tally:
    """What was seen in all of them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.afternoons = 0
        self.told = 0
        self.heard = 0
        self.crossed: list[str] = []
        self.secrets: dict[str, str] = {}
        #: By principal: what thieves were handed by the test and sent; it stands in their own requests.
        self.presented: set[tuple[str, str]] = set()


def prove() -> None:
    """Run the afternoons and look."""
    run_dir = Path(tempfile.mkdtemp(prefix="gw-", dir="/var/tmp"))
    with throw_away_cluster() as cluster:
        box = Box(cluster.url(), run_dir)
        box.migrate()
        try:
            box.start()
            with gossips(box) as told:
                tally = afternoons(told)
                traces = foreign_traces(box, tally)
            log = box.log.read_text()
        finally:
            box.stop()
            shutil.rmtree(run_dir, ignore_errors=True)
    logged = [secret for secret in tally.secrets if secret in log]
    print(
        f"afternoons {tally.afternoons}, secrets told {tally.told}, heard by their owners {tally.heard}"
    )
    for line in tally.crossed[:10]:
        print(line)
    hold(
        tally.heard > tally.told // 2, "most secrets reached those whom they belong to"
    )
    hold(
        not tally.crossed and not logged and not traces,
        f"in another's hands: {len(tally.crossed)}; in the log: {len(logged)}; in traces of others: {traces}",
    )


def afternoons(told: Gossips) -> Tally:
    """Run them all; never stops early, so that the last line tells the whole."""
    tally = Tally()

    @settings(
        max_examples=AFTERNOONS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cast=casts, script=scripts)
    def afternoon(
        cast: list[tuple[str, str, str]], script: list[tuple[int, str, int]]
    ) -> None:
        world = asyncio.run(told.world(cast).run(script))
        tally.afternoons += 1
        tally.told += len(world.secrets())
        tally.heard += world.heard()
        tally.crossed += world.crossed()
        tally.presented |= {
            (person.principal, secret)
            for person in world.people
            for state in person.presented
            for secret in SECRET.findall(state)
        }
        tally.secrets |= {
            secret: person.principal for person in world.people for secret in person.own
        }

    afternoon()
    return tally


def foreign_traces(box: Box, tally: Tally) -> int:
    """Return how many traces of one principal hold a secret of another.

    Raises:
        ClaimError: There are no traces to look at.
    """
    time.sleep(SCRIBE_S)
    rows = box.execute(
        """SELECT json_agg(json_build_array(i.principal, coalesce(i.request, ''), coalesce(i.response, '')))
        FROM invocations i"""
    )
    hold(bool(rows), f"{len(rows or [])} traces to look at")
    found = 0
    for whose, request, response in rows:
        asked, heard = set(SECRET.findall(request)), set(SECRET.findall(response))
        sent = {secret for secret in asked if (whose, secret) in tally.presented}
        foreign = {
            s for s in asked - sent | heard if tally.secrets.get(s, whose) != whose
        }
        found += len(foreign)
    return found
