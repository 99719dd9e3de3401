"""What lists may show somebody, as conditions of queries."""

import functools
import operator
from typing import Any

from peewee import Field

from appliance.accounts.access import Sight


def shown(
    rows: Any, sight: Sight, *, owner: Field, org: Field, server: Field | None = None
) -> Any:
    """Return the query of ``rows`` narrowed to what may be shown.

    Args:
        rows: A select.
        sight: Of whom it is for.
        owner: The person that a row belongs to, where ``org`` is NULL.
        org: The organisation.
        server: The server that a row is about; ``None``: it is about none.
    """
    if sight.servers is not None:
        if server is None:
            return rows.where(False)  # noqa: FBT003 - peewee's word for nothing
        rows = rows.where(server.in_(sight.servers))
    if sight.everything:
        return rows
    return rows.where(among(sight, owner=owner, org=org))


def among(sight: Sight, *, owner: Field, org: Field) -> Any:
    """Return the condition that a row belongs to whose things ``sight`` shows."""
    kinds = [org.in_(sight.org_ids)]
    if sight.user_id is not None:
        kinds.append(org.is_null() & (owner == sight.user_id))
    return functools.reduce(operator.or_, kinds)


def shown_in_words(sight: Sight) -> tuple[list[str], list[Any]]:
    """Return the same as text with its values, for columns ``owner_id``, ``org_id`` and ``server_id``."""
    conditions: list[str] = []
    values: list[Any] = []
    if sight.servers is not None:
        conditions.append("server_id = ANY(%s)")
        values.append(sorted(sight.servers))
    if sight.everything:
        return conditions, values
    if not sight.org_ids:
        conditions.append("owner_id = %s AND org_id IS NULL")
        values.append(sight.user_id)
    else:
        conditions.append("(owner_id = %s AND org_id IS NULL OR org_id = ANY(%s))")
        values += [sight.user_id, sorted(sight.org_ids)]
    return conditions, values
