"""Read from the database by what access tokens are checked."""

import psycopg2.extensions

from appliance.gateway.trust import TokenKey, Trust

_KEYS = "SELECT kid, issuer, alg, jwk FROM gateway_token_keys"
_REVOKED = "SELECT grant_id FROM gateway_revoked_grants"
_ADDRESSES = "SELECT email, user_id FROM gateway_addresses"
_ISSUERS = "SELECT issuer, metadata FROM gateway_issuers"


def read_trust(cursor: psycopg2.extensions.cursor) -> Trust:
    """Return what the views say, within the caller's transaction. Blocking."""
    cursor.execute(_KEYS)
    keys = {row[0]: TokenKey(*row) for row in cursor.fetchall()}
    cursor.execute(_REVOKED)
    revoked = frozenset(row[0] for row in cursor.fetchall())
    cursor.execute(_ADDRESSES)
    addresses = dict(cursor.fetchall())
    cursor.execute(_ISSUERS)
    return Trust(keys, revoked, addresses, dict(cursor.fetchall()))
