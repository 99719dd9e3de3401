"""Statements that Postgres plans once for a connection."""

from collections.abc import Iterator

import pytest

from appliance.infra import prepared
from appliance.infra.database import Database, proxy

WHOLE = "SELECT %s::int + 1, '100 %%', %s::text"
NAMED = "SELECT %(n)s::int, %(word)s::text, %(n)s::int"


@pytest.fixture
def one_connection(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, size=1)
    yield opened
    opened.close()


def asked(sql: str, params: object) -> tuple[object, ...]:
    return tuple(prepared.execute(sql, params).fetchone())


def known() -> int:
    sql = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'asked%%'"
    return int(proxy.execute_sql(sql).fetchone()[0])


async def test_each_asking_is_answered_by_its_own_values(
    one_connection: Database,
) -> None:
    for number in range(8):
        found = await one_connection.run(asked, WHOLE, (number, f"'; {number} --"))
        assert found == (number + 1, "100 %", f"'; {number} --")


async def test_a_name_stands_for_one_value_wherever_it_stands(
    one_connection: Database,
) -> None:
    for number in range(3):
        found = await one_connection.run(asked, NAMED, {"word": "%s", "n": number})
        assert found == (number, "%s", number)


async def test_only_what_is_asked_again_is_prepared(one_connection: Database) -> None:
    counted = []
    for _ in range(3):
        await one_connection.run(asked, WHOLE, (1, "a"))
        counted.append(await one_connection.run(known))

    assert counted == [0, 1, 1]


async def test_what_was_prepared_outlives_a_transaction_that_is_undone(
    one_connection: Database,
) -> None:
    def ask_and_fail() -> None:
        asked(WHOLE, (1, "a"))
        raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            await one_connection.run(ask_and_fail)

    assert await one_connection.run(asked, WHOLE, (1, "a")) == (2, "100 %", "a")
    assert await one_connection.run(known) == 1


async def test_a_new_connection_is_asked_as_if_nothing_were_known(
    one_connection: Database,
) -> None:
    for _ in range(2):
        await one_connection.run(asked, WHOLE, (1, "a"))
    one_connection.peewee.close_all()

    assert await one_connection.run(asked, WHOLE, (1, "a")) == (2, "100 %", "a")
    assert await one_connection.run(known) == 0


async def test_a_refusal_leaves_the_statement_usable(one_connection: Database) -> None:
    refused = "SELECT 1 / %s::int"
    for _ in range(3):
        with pytest.raises(Exception, match="division by zero"):
            await one_connection.run(asked, refused, (0,))

    assert await one_connection.run(asked, refused, (1,)) == (1,)
