"""Several questions in one trip to Postgres: each is a query whose rows are read as one type.

A trip costs more than most questions do. Stores write what they ask as a ``Question``; whoever needs several answers of one
moment asks them together.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from appliance.infra import prepared

T = TypeVar("T")


@dataclass(frozen=True)
class Question(Generic[T]):
    """A query, and what its rows are."""

    #: Its columns are called as the fields of ``row``; what they have more is left out.
    sql: str
    #: In the order of the ``%s`` in ``sql``.
    params: tuple[object, ...]
    row: type[T]


def ask(*questions: Question[Any]) -> list[list[Any]]:
    """Return the rows of each question, in its order. Runs inside ``database.run``."""
    # Postgres answers in JSON, because one row has to hold all answers.
    each = [f"(SELECT json_agg(q)::text FROM ({one.sql}) q)" for one in questions]  # noqa: S608 - stores' own
    params = [value for one in questions for value in one.params]
    answers = prepared.execute(f"SELECT {', '.join(each)}", params).fetchone()
    return [
        [] if text is None else _decoder(cast(Any, one.row)).decode(text)
        for one, text in zip(questions, answers, strict=True)
    ]


@lru_cache(maxsize=32)
def _decoder(row: Any) -> msgspec.json.Decoder[list[Any]]:
    return msgspec.json.Decoder(list[row])
