"""The tables that the code knows are those that the migrations make."""

import importlib
from pathlib import Path
from typing import Any

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Database, Table

ROOT = Path(__file__).parent.parent.parent

#: Field class to Postgres' word for the type.
TYPES: dict[type[peewee.Field], str] = {
    peewee.BigAutoField: "bigint",
    peewee.BigIntegerField: "bigint",
    peewee.IntegerField: "integer",
    peewee.SmallIntegerField: "smallint",
    peewee.TextField: "text",
    peewee.BooleanField: "boolean",
    peewee.BlobField: "bytea",
    peewee.DateField: "date",
    peewee.DoubleField: "double precision",
    BinaryJSONField: "jsonb",
    DateTimeTZField: "timestamp with time zone",
}
#: Read by the gateway in SQL of its own, or the migrations' ledger.
WITHOUT_CLASS = {"schema_migrations_applied"}
COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES'
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
AND NOT (SELECT relispartition FROM pg_class
    WHERE oid = (quote_ident(c.table_schema) || '.' || quote_ident(c.table_name))::regclass)
"""

Column = tuple[str, str, bool]


def tables() -> list[type[Table]]:
    for path in ROOT.glob("appliance/**/tables.py"):
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return Table.__subclasses__()


def expected(table: type[Table]) -> set[Column]:
    fields: dict[str, Any] = table._meta.columns
    return {(name, TYPES[type(field)], field.null) for name, field in fields.items()}


def test_every_table_has_exactly_the_columns_that_the_migrations_give_it(
    database: Database,
) -> None:
    rows = database.run_blocking(
        lambda: database.peewee.execute_sql(COLUMNS).fetchall()
    )
    migrated: dict[str, set[Column]] = {}
    for table, *column in rows:
        migrated.setdefault(table, set()).add(tuple(column))

    known = {table._meta.table_name: expected(table) for table in tables()}

    assert known == {
        name: columns for name, columns in migrated.items() if name not in WITHOUT_CLASS
    }
