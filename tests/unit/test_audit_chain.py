"""The audit trail's chain of hashes, and how many refused attempts become lines: which change shows where."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.core.chain import GENESIS, START, Place, Walk
from appliance.core.errors import InvalidError
from appliance.observability.audit_chain import (
    as_json,
    canonical,
    line_hash,
    link_of,
    place_of,
)
from appliance.observability.denials import (
    ADDRESSES,
    ELSEWHERE,
    PER_ADDRESS,
    TOGETHER,
    DenialMeter,
    Unwritten,
    counted_as,
)
from appliance.observability.model import AuditEvent, Outcome


def line(seq: int = 1, prev_hash: str = GENESIS, **values: Any) -> AuditEvent:
    given: dict[str, Any] = {
        "id": seq * 10,
        "at": datetime(2026, 11, 21, 9, 30, 0, 5, tzinfo=UTC),
        "actor_id": 7,
        "actor": "käthe@example.org",
        "action": "server.update",
        "object_type": "server",
        "object_id": 3,
        "object_name": "time",
        "outcome": Outcome.ALLOWED,
        "request_id": "r1",
        "address": "192.0.2.1",
        "details": {"b": 1, "a": [1.5, None]},
        "before": {"x": 1},
        "seq": seq,
        "prev_hash": prev_hash,
    }
    event = AuditEvent(**given | values)
    return replace(event, row_hash=line_hash(event))


def chain(count: int) -> list[AuditEvent]:
    found: list[AuditEvent] = []
    for seq in range(1, count + 1):
        found.append(line(seq, found[-1].row_hash or "" if found else GENESIS))
    return found


def place(event: AuditEvent) -> Place:
    return Place(event.seq or 0, event.row_hash or "")


def walk(
    lines: list[AuditEvent], *, start: Place = START, known: Place | None = None
) -> list[tuple[int, str]]:
    going = Walk("line", start=start, known=known)
    going.over(map(link_of, lines))
    going.end(place(chain(5)[-1]))
    return [(item.seq, item.what) for item in going.breaks]


def test_anybody_can_make_the_hash_from_a_line_of_the_export() -> None:
    exported = canonical(as_json(line()) | {"row_hash": line().row_hash})

    read = json.loads(exported)
    claimed = read.pop("row_hash")

    again = json.dumps(read, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert hashlib.sha256(again.encode()).hexdigest() == claimed
    assert read["at"] == "2026-11-21T09:30:00.000005Z"


@pytest.mark.parametrize(
    "name", [name for name in AuditEvent.__dataclass_fields__ if name != "row_hash"]
)
def test_every_column_of_a_line_is_hashed(name: str) -> None:
    values: dict[str, Any] = {
        name: {"at": datetime(2020, 1, 1, tzinfo=UTC), "outcome": Outcome.DENIED}.get(
            name, 99
        )
    }

    assert line_hash(replace(line(), **values)) != line().row_hash


def test_a_whole_trail_has_no_break() -> None:
    assert walk(chain(5)) == []


def test_a_changed_line_shows_where_it_is() -> None:
    lines = chain(5)
    lines[2] = replace(lines[2], actor="eve")

    assert walk(lines) == [(3, "changed")]


def test_a_line_that_was_written_anew_with_its_hash_shows_at_the_next() -> None:
    lines = chain(5)
    lines[2] = line(3, lines[1].row_hash or "", actor="eve")

    assert walk(lines) == [(4, "unlinked")]


def test_removed_lines_show() -> None:
    lines = chain(5)

    assert walk(lines[:1] + lines[3:]) == [(2, "missing")]
    assert walk(lines[:3]) == [(4, "missing")]
    assert walk(lines[2:]) == [(1, "missing")]


def test_a_pruned_trail_holds_from_its_anchor_on_and_from_no_other() -> None:
    lines = chain(5)

    assert walk(lines[2:], start=place(lines[1])) == []
    assert walk(lines[2:], start=Place(2, "f" * 64)) == [(3, "unlinked")]


def test_a_trail_that_was_made_anew_shows_to_who_wrote_its_end_down() -> None:
    lines = chain(5)

    assert walk(lines, known=place(lines[2])) == []
    assert walk(lines, known=Place(3, "f" * 64)) == [(3, "unknown")]
    assert walk(lines, known=Place(9, "f" * 64)) == [(5, "missing")]
    assert walk(
        lines[2:], start=place(lines[1]), known=Place(2, lines[1].row_hash or "")
    ) == []  # fmt: skip


@pytest.mark.parametrize("text", ["", "17", "17:", "x:" + "a" * 64, "17:" + "g" * 64])
def test_what_is_no_place_in_the_trail_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        place_of(text)


# -- how many refused attempts become lines


def test_a_flood_from_one_address_becomes_a_few_lines_and_one_sum() -> None:
    meter = DenialMeter()

    written = [meter.take("192.0.2.1", 1) for _ in range(1000)]

    assert sum(written) == PER_ADDRESS
    assert meter.take("192.0.2.2", 1)
    assert meter.unwritten() == [Unwritten("192.0.2.1", 1000 - PER_ADDRESS)]
    assert meter.unwritten() == []
    assert meter.take("192.0.2.1", 2)


def test_a_flood_from_everywhere_becomes_no_more_lines_than_all_may_have() -> None:
    meter = DenialMeter()

    written = sum(meter.take(f"10.{n >> 8}.{n & 255}.1", 1) for n in range(5000))

    unwritten = meter.unwritten()
    assert written == TOGETHER
    assert sum(item.count for item in unwritten) == 5000 - TOGETHER
    assert len(unwritten) <= ADDRESSES + 1
    assert unwritten[0].address == ELSEWHERE


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_counts_with_those_of_its_customer(address: str, whose: str) -> None:
    assert counted_as(address) == whose
