"""A session begins: always a new one, whatever the browser brought. Runs inside ``database.run``."""

import secrets
from datetime import timedelta

from appliance.accounts import session_store
from appliance.accounts.model import Identity, Principal, SignedIn, User
from appliance.accounts.persons import audit_user
from appliance.core.clock import now
from appliance.core.ids import key_hash

#: How long a session lasts after its last use.
SESSION_LASTS = timedelta(days=14)


def open_session(
    user: User,
    user_agent: str,
    *,
    identity: Identity | None = None,
    id_token: bytes | None = None,
) -> SignedIn:
    """Insert a session with a secret of its own, and a line in the trail.

    Args:
        user: Whose.
        user_agent: As the browser calls itself.
        identity: By what the person came; ``None``: by a password.
        id_token: Sealed, if it is needed to sign out at the provider.
    """
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    expires_at = now() + SESSION_LASTS
    session_store.add(
        user.id,
        token_hash=key_hash(token),
        csrf_token=csrf_token,
        user_agent=user_agent,
        expires_at=expires_at,
        identity_id=identity.id if identity else None,
        id_token=id_token,
    )
    principal = Principal(user.id, user.email, user.role, "session")
    details = (
        {"provider": identity.issuer, "subject": identity.subject} if identity else None
    )
    audit_user(principal, "session.create", user.id, user.email, details=details)
    return SignedIn(user, token, csrf_token, expires_at)
