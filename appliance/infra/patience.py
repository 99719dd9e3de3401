"""Writing what must be written although Postgres may be away for a moment."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from appliance.infra.database import Database, DatabaseUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 60
PAUSE_S = 0.5


async def persist(
    database: Database, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run ``function`` in a transaction; while Postgres is away try again for half a minute.

    The function must be harmless when run twice: a connection may break in the very
    moment of the commit.

    Raises:
        DatabaseUnavailableError: It stayed away.
    """
    for _ in range(TRIES - 1):
        try:
            return await database.run(function, *args, **kwargs)
        except DatabaseUnavailableError:
            await asyncio.sleep(PAUSE_S)
    return await database.run(function, *args, **kwargs)
