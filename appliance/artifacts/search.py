"""The one query of the marketplace; runs inside ``database.run``.

It reads ``catalog_latest`` alone. Values go into the text of the query by the client, so Postgres plans each anew and knows
how rare a word is. Words of three letters and more are found by their trigrams; shorter ones by reading every row.
"""

from collections.abc import Callable, Collection, Container
from typing import Any

from appliance.accounts.access import Sight
from appliance.accounts.sights import shown_in_words
from appliance.artifacts.entries import Entries
from appliance.artifacts.model import CatalogEntry, CatalogQuery
from appliance.infra.database import proxy

#: Words that one search looks for.
MAX_WORDS = 8
_INDEX = "SELECT to_regclass('catalog_latest_search_idx') IS NOT NULL"


def page(
    wanted: CatalogQuery,
    *,
    sight: Sight,
    before: int | None,
    limit: int,
    hosted: Callable[[Collection[int]], Container[int]],
    entries: Entries,
) -> list[CatalogEntry]:
    """Return up to ``limit`` entries, the newest run first.

    Args:
        sight: Only what this shows.
        before: Only runs before this one.
        hosted: Returns those of some servers that are still hosted.
        entries: Those of this database.
    """
    conditions, values = _conditions(wanted)
    shown, its_values = shown_in_words(sight)
    conditions += shown
    values += its_values
    if before is not None:
        conditions.append("run_id < %s")
        values.append(before)
    where = " AND ".join(conditions) or "true"
    rows = proxy.execute_sql(
        f"SELECT run_id, xmin::text FROM catalog_latest WHERE {where} ORDER BY run_id DESC LIMIT %s",  # noqa: S608 - our own words
        (*values, limit),
    ).fetchall()
    found = entries.of(rows)
    there = hosted([item.run.server_id for _, item in found])
    return [
        CatalogEntry(run_id, item.run, item.rating, item.run.server_id in there)
        for run_id, item in found
    ]


def _conditions(wanted: CatalogQuery) -> tuple[list[str], list[Any]]:
    tier_class, tier_type = wanted.tier_parts()
    given: list[tuple[str, Any]] = [
        ("search LIKE %s", pattern(word)) for word in words_of(wanted.text)
    ]
    if wanted.server_type:
        given.append(("server_type = %s", wanted.server_type.lower()))
    if wanted.status is not None:
        given.append(("status = %s", wanted.status.value))
    if tier_class is not None:
        given.append(("tier_class = %s", tier_class.value))
    if tier_type:
        given.append(("server_type = %s", tier_type))
    return [text for text, _ in given], [value for _, value in given]


def words_of(text: str) -> list[str]:
    """Return what a search looks for; of a reference with a digest, both parts. Pure.

    >>> words_of("Weather  registry.example.org/mcp/a@sha256:0f")
    ['weather', 'registry.example.org/mcp/a', 'sha256:0f']
    """
    return text.lower().replace("@", " ").split()[:MAX_WORDS]


def pattern(word: str) -> str:
    """Return what LIKE finds ``word`` by, wherever it stands and whatever it holds."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def server_types(sight: Sight) -> list[str]:
    """Return the types of servers that the catalog shows, in order."""
    conditions, values = shown_in_words(sight)
    where = " AND ".join(conditions) or "true"
    sql = f"SELECT DISTINCT server_type FROM catalog_latest WHERE {where} ORDER BY 1 LIMIT 100"  # noqa: S608 - our own words
    return [row[0] for row in proxy.execute_sql(sql, values).fetchall()]


def is_indexed() -> bool:
    """Return whether words are found by their trigrams."""
    return bool(proxy.execute_sql(_INDEX).fetchone()[0])
