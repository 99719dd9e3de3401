"""Postgres' clock as everything of the product reads it, set forward and back."""

import asyncio
from datetime import timedelta
from typing import Any

from appliance.infra.database import Database

_INSTALL = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock (ahead interval NOT NULL);
INSERT INTO moved.clock VALUES ('0');
CREATE FUNCTION moved.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + ahead FROM moved.clock';
"""


class MovedClock:
    """Stands before Postgres' own ``now()`` in one database: names are looked up there first."""

    def __init__(self, database: Database) -> None:
        """Keep the database, whose clock still goes right."""
        self._database = database

    @classmethod
    async def of(cls, database: Database) -> "MovedClock":
        """Return the clock of a database, for every connection that is opened from now on."""
        made = cls(database)
        await made._run(_INSTALL)
        name = (await made._run("SELECT current_database()"))[0][0]
        await made._run(f'ALTER DATABASE "{name}" SET search_path = moved, public, pg_catalog')  # fmt: skip
        await asyncio.to_thread(database.peewee.close_idle)
        return made

    async def set(self, ahead: timedelta) -> None:
        """Set the clock so far ahead of what it would show; less than nothing: so far back."""
        await self._run("UPDATE moved.clock SET ahead = %s", ahead)

    async def _run(self, sql: str, *values: Any) -> list[Any]:
        def run() -> list[Any]:
            done = self._database.peewee.execute_sql(sql, values or None)
            return list(done.fetchall()) if done.description else []

        return await self._database.run(run)
