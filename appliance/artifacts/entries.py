"""The marketplace's entries as last read: the newest are on every page, and fetching one costs more than finding it."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import msgspec

from appliance.artifacts.model import Rating, RunRecord
from appliance.infra import prepared

#: So many are kept.
KEPT = 1024
_FETCH = "SELECT run_id, xmin::text, entry FROM catalog_latest WHERE run_id = ANY(%s)"

#: A run, and the version of its row: the transaction that wrote it (PostgreSQL documentation, System Columns).
Key = tuple[int, str]


@dataclass(frozen=True)
class Entry:
    """What is shown of a run."""

    run: RunRecord
    rating: Rating


_DECODER = msgspec.json.Decoder(Entry)


class Entries:
    """Entries of one database."""

    def __init__(self) -> None:
        """Know none."""
        self._kept: OrderedDict[Key, Entry] = OrderedDict()
        # Searches run in several threads.
        self._lock = Lock()

    def of(self, keys: Sequence[Key]) -> list[tuple[int, Entry]]:
        """Return runs with their entries, in the order of ``keys``; runs that are gone since are left out.

        Runs inside ``database.run``.
        """
        with self._lock:
            known = [key for key in keys if key in self._kept]
            for key in known:
                self._kept.move_to_end(key)
            found = {key[0]: self._kept[key] for key in known}
        if missing := [run_id for run_id, _ in keys if run_id not in found]:
            found |= self._fetch(missing)
        return [(run_id, found[run_id]) for run_id, _ in keys if run_id in found]

    def _fetch(self, run_ids: list[int]) -> dict[int, Entry]:
        rows = prepared.execute(_FETCH, (run_ids,)).fetchall()
        read = {
            (run_id, version): _DECODER.decode(text) for run_id, version, text in rows
        }
        with self._lock:
            self._kept |= read
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return {run_id: entry for (run_id, _), entry in read.items()}
