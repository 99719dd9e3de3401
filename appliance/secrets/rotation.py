"""The master key, replaced without a pause: both keys open what is there until every value is under the new one.

Each step may be cut off at any line. The key file changes as a whole; what a value is under is told by its row; and a key
goes only while nobody can be about to use it.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from appliance.infra.database import Database
from appliance.jobs.model import JobContext
from appliance.jobs.queue import enqueue
from appliance.observability import audit
from appliance.secrets import envelope, sealed_store, store
from appliance.secrets.errors import SealBrokenError
from appliance.secrets.master import MasterKeys
from appliance.secrets.model import MasterKeyState

log = structlog.get_logger("secrets.rotation")

REWRAP = "secrets.rewrap"
LANE = "secrets"
#: Values in one transaction: none waits long for its row.
BATCH = 100


class MasterKeyRotation:
    """Makes a new master key and brings all values under it."""

    def __init__(self, database: Database, keys: MasterKeys) -> None:
        """Keep the parts."""
        self._database = database
        self._keys = keys

    async def state(self) -> MasterKeyState:
        """Return how it stands.

        Raises:
            MasterKeyError: The key file cannot be read.
        """
        return await self._database.run(self._state)

    def _state(self) -> MasterKeyState:
        in_use = _in_use()
        ring = self._keys.ring()
        missing = tuple(sorted(in_use.keys() - ring.keys.keys()))
        return MasterKeyState(ring.current, in_use, missing)

    async def begin(self, actor: audit.Actor) -> MasterKeyState:
        """Make a new key, under which new values are sealed from now on, and have the others brought under it.

        Raises:
            MasterKeyError: The key file cannot be changed.
        """

        def run() -> MasterKeyState:
            store.lock_keys(alone=True)
            before = self._keys.ring()
            # One that was made and not used yet will do: whoever was cut off here asks again.
            made = before
            if not before.keys.keys() - {before.current}:
                made = self._keys.add_key()
            enqueue(REWRAP, {}, lane=LANE)
            audit.record(
                actor,
                "secrets.rotate_master",
                object_type="master_key",
                object_name=made.current,
            )
            return self._state()

        return await self._database.run(run)

    async def sweep(self) -> None:
        """Go on with what was cut off before its job was queued."""

        def run() -> None:
            if len(self._keys.ring().keys) > 1:
                enqueue(REWRAP, {}, lane=LANE)

        await self._database.run(run)

    async def __call__(self, context: JobContext, _payload: Mapping[str, Any]) -> None:
        """Bring every value under the current key, in batches, then forget keys that nothing is under. A job."""
        total = (await self.state()).waiting
        done, last = 0, 0
        while (found := await self._database.run(self._move, last)) is not None:
            last, moved = found
            done += moved
            await context.progress(done, max(total, done), "values")
        last = 0
        while (found := await self._database.run(self._move_sealed, last)) is not None:
            last, moved = found
            done += moved
            await context.progress(done, max(total, done), "values")
        gone = await self._database.run(self._forget_keys)
        log.info("master_key_rotated", values=done, keys_forgotten=gone)

    def _move(self, after: int) -> tuple[int, int] | None:
        """Bring a batch under the current key; return its last row and how many values went, ``None`` at the end."""
        ring = self._keys.ring()
        # What is under a key that we do not have stays as it is; the page says so.
        older = ring.keys.keys() - {ring.current}
        found = store.under_keys(older, after=after, limit=BATCH) if older else []
        moved = 0
        for version_id, kept in found:
            try:
                if kept.sealed is not None:
                    sealed = envelope.rewrap(ring, kept.sealed, kept.place)
                    store.set_wrapping(version_id, sealed)
                    moved += 1
            except SealBrokenError as error:
                log.warning("secret_seal_broken", reason=error.reason)
        return (found[-1][0], moved) if found else None

    def _move_sealed(self, after: int) -> tuple[int, int] | None:
        """Do the same to values that are no secrets of a server's own."""
        ring = self._keys.ring()
        older = ring.keys.keys() - {ring.current}
        found = (
            sealed_store.under_keys(older, after=after, limit=BATCH) if older else []
        )
        moved = 0
        for row_id, place, sealed in found:
            try:
                sealed_store.set_wrapping(row_id, envelope.rewrap(ring, sealed, place))
                moved += 1
            except SealBrokenError as error:
                log.warning("secret_seal_broken", reason=error.reason)
        return (found[-1][0], moved) if found else None

    def _forget_keys(self) -> list[str]:
        store.lock_keys(alone=True)
        return self._keys.keep_only(set(_in_use()))


def _in_use() -> dict[str, int]:
    """Return how many values of any kind are sealed under each master key."""
    counts = Counter(store.keys_in_use())
    counts.update(sealed_store.keys_in_use())
    return dict(counts)
