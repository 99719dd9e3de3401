"""The chain of hashes: what is hashed, and which change shows where."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.artifacts.chain import canonical, row_hash
from appliance.artifacts.model import Anchor, RunRecord
from appliance.core.chain import GENESIS, MAX_BREAKS, Link, Place, Walk
from appliance.core.errors import InvalidError
from tests.fakes.runs import record


def chain(count: int) -> list[Link]:
    links: list[Link] = []
    before = GENESIS
    for number in range(1, count + 1):
        found = row_hash(number, before, record(number))
        links.append(Link(number, before, found, found))
        before = found
    return links


def walk(
    links: list[Link], *, runs: int = 5, known: Place | None = None
) -> list[tuple[int, str]]:
    going = Walk("run", known=known)
    going.over(links)
    going.end(Place(runs, chain(5)[-1].row_hash))
    return [(item.seq, item.what) for item in going.breaks]


def test_the_text_that_is_hashed_can_be_made_by_anybody_from_the_row() -> None:
    text = canonical(1, GENESIS, record(error="käse"))
    read = json.loads(text)

    again = json.dumps(read, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert again.encode() == text
    assert hashlib.sha256(text).hexdigest() == row_hash(
        1, GENESIS, record(error="käse")
    )
    assert read["started_at"] == "2026-11-21T09:30:00.123456Z"
    assert read["prev_hash"] == GENESIS
    assert [item["platform"] for item in read["platforms"]] == [
        "linux/amd64",
        "linux/arm64",
    ]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in RunRecord.__dataclass_fields__
        if name not in {"platforms", "status", "started_at", "completed_at"}
    ],
)
def test_every_column_is_hashed(name: str) -> None:
    run = record()

    values: dict[str, Any] = {name: "something else"}
    changed = replace(run, **values)

    assert row_hash(1, GENESIS, changed) != row_hash(1, GENESIS, run)


@pytest.mark.parametrize("name", list(record().platforms[0].__dataclass_fields__))
def test_every_column_of_a_platform_is_hashed(name: str) -> None:
    run = record()
    values: dict[str, Any] = {name: "something else"}
    platform = replace(run.platforms[1], **values)

    changed = replace(run, platforms=(run.platforms[0], platform))

    assert row_hash(1, GENESIS, changed) != row_hash(1, GENESIS, run)


def test_a_whole_chain_has_no_break() -> None:
    assert walk(chain(5)) == []


def test_a_changed_row_shows_where_it_is_and_nowhere_else() -> None:
    links = chain(5)
    links[2] = replace(links[2], actual_hash="f" * 64)

    assert walk(links) == [(3, "changed")]


def test_a_row_that_was_written_anew_with_its_hash_shows_at_the_next() -> None:
    links = chain(5)
    links[2] = replace(links[2], row_hash="f" * 64, actual_hash="f" * 64)

    assert walk(links) == [(4, "unlinked")]


def test_removed_rows_show() -> None:
    links = chain(5)

    assert walk(links[:1] + links[3:]) == [(2, "missing")]
    assert walk(links[:3]) == [(4, "missing")]
    assert walk([]) == [(1, "missing")]


def test_another_last_row_than_the_end_remembers_shows() -> None:
    links = chain(5)
    links[4] = replace(links[4], row_hash="f" * 64, actual_hash="f" * 64)

    assert walk(links) == [(5, "unlinked")]


def test_a_chain_that_was_made_anew_as_a_whole_shows_to_who_wrote_its_end_down() -> (
    None
):
    links = chain(5)

    assert walk(links, known=Place(3, links[2].row_hash)) == []
    assert walk(links, known=Place(3, "f" * 64)) == [(3, "unknown")]
    assert walk(links, known=Place(9, "f" * 64)) == [(5, "missing")]


def test_no_more_breaks_are_told_than_somebody_reads() -> None:
    links = [replace(link, actual_hash="") for link in chain(MAX_BREAKS + 5)]

    assert len(walk(links, runs=MAX_BREAKS + 5)) == MAX_BREAKS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "17:",
        ":" + "a" * 64,
        "x:" + "a" * 64,
        "17:" + "g" * 64,
        "9" * 30 + ":" + "a" * 64,
    ],
)
def test_what_is_no_place_in_the_chain_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as raised:
        Anchor.parse(text)

    assert list(raised.value.fields) == ["known"]
