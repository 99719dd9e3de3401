"""Statements that a connection is asked again and again: Postgres reads and plans them once for each connection.

Before a launch, planning takes longer than answering. A connection's first use of a statement is asked as it is, because
preparing one that is asked once costs more than it saves. What is prepared stays when a transaction is undone, and goes with
its connection (PostgreSQL documentation, PREPARE).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from appliance.infra.database import proxy

#: Of each connection the statements that it was asked, and whether they are prepared.
_asked: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()
#: Left to itself, Postgres plans a statement anew for each array of values.
_ONCE = "SET plan_cache_mode TO force_generic_plan"
_MARK = re.compile(r"%(?:%|s|\((\w+)\)s)")


@dataclass(frozen=True)
class _Prepared:
    #: ``PREPARE ... AS`` the statement, for good, and ``EXECUTE ...`` with the caller's own marks.
    prepare: str
    execute: str


def execute(sql: str, params: object) -> Any:
    """Do what ``proxy.execute_sql`` does, for one of few texts that are asked often. Runs inside ``database.run``.

    Args:
        sql: With ``%s``, or with ``%(name)s``, where a parameter may stand. Values are never part of it.
        params: A sequence for the first, a mapping for the second.

    Returns:
        A cursor.
    """
    known = _asked.setdefault(proxy.connection(), {})
    if sql not in known:
        known[sql] = False
        return proxy.execute_sql(sql, params)
    prepared = _prepared(sql)
    if not known[sql]:
        proxy.execute_sql(prepared.prepare)
        known[sql] = True
    return proxy.execute_sql(prepared.execute, params)


@lru_cache(maxsize=64)
def _prepared(sql: str) -> _Prepared:
    """Return how a statement is prepared and asked.

    >>> _prepared("SELECT %(a)s::int, '%%', %(a)s, %(b)s::int").prepare.partition(" AS ")[2]
    "SELECT $1::int, '%%', $1, $2::int"
    """
    marks: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        mark = found[0]
        if mark == "%%":  # the client reads this text, too
            return mark
        # A name stands for one value wherever it stands; each %s is one of its own.
        if mark == "%s" or mark not in marks:
            marks.append(mark)
            return f"${len(marks)}"
        return f"${marks.index(mark) + 1}"

    text = _MARK.sub(numbered, sql)
    # Different for every text, and within the 63 characters that Postgres keeps of a name.
    name = "asked_" + sha256(sql.encode()).hexdigest()[:32]
    values = f"({', '.join(marks)})" if marks else ""
    return _Prepared(f"{_ONCE}; PREPARE {name} AS {text}", f"EXECUTE {name}{values}")
