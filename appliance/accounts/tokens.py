"""Bearer tokens for short-lived automation: JWTs that need no row, and mean what their person may do at the moment of use."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.accounts import store
from appliance.accounts.errors import UnknownTokenError
from appliance.accounts.key_scopes import packed, require_whole, unpacked
from appliance.accounts.model import Principal, Scope
from appliance.accounts.orgs.store import memberships
from appliance.accounts.persons import audit_user, person_of
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import derived_key
from appliance.infra.database import Database

ALGORITHM = "HS256"
#: What the tokens are for: no other JWT of this box is taken for one, nor one for another.
AUDIENCE = "mcp-host-api"
MIN_LASTS = timedelta(minutes=1)
MAX_LASTS = timedelta(hours=1)


@dataclass(frozen=True)
class MadeToken:
    """A token, which is kept nowhere."""

    token: str
    expires_at: datetime


class TokenService:
    """Makes tokens for people, and recognises them.

    Args:
        secret: JWT_SECRET; signs.
        previous: JWT_SECRET_PREVIOUS; what it signed is still taken.
    """

    def __init__(self, database: Database, secret: bytes, *previous: bytes) -> None:
        """Keep keys made from the secrets, so that a token tells nothing of what else they are for."""
        self._database = database
        self._keys = [derived_key(item, "api-token") for item in (secret, *previous)]

    async def create(
        self, principal: Principal, *, lasts: timedelta, scope: Scope | None = None
    ) -> MadeToken:
        """Make a token of the principal's.

        Raises:
            InvalidError: It would last under a minute or above an hour.
            NotAllowedError: The principal came with a narrowed key, a token, or a key of an organisation.
        """
        import jwt  # noqa: PLC0415 - most hubs make no tokens

        require_whole(principal, "make tokens")
        user_id = person_of(principal)
        if not MIN_LASTS <= lasts <= MAX_LASTS:
            raise InvalidError.field("lifetime_seconds", "give 60 to 3600 seconds")
        begins = now().replace(microsecond=0)
        claims: dict[str, Any] = {
            "sub": f"user:{user_id}",
            "aud": AUDIENCE,
            "iat": begins,
            "exp": begins + lasts,
            "jti": secrets.token_urlsafe(12),
        }
        if scope is not None:
            claims["scope"] = packed(scope)
        token = jwt.encode(claims, self._keys[0], algorithm=ALGORITHM)
        details = {"token_id": claims["jti"], "seconds": int(lasts.total_seconds())}

        def write() -> None:
            audit_user(
                principal, "token.create", user_id, principal.email, details=details
            )

        await self._database.run(write)
        return MadeToken(token, begins + lasts)

    async def authenticate(self, token: str) -> Principal:
        """Return who a token stands for, as they are now.

        Raises:
            UnknownTokenError: It is not one of ours, ran out, or its person was disabled.
        """
        claims = self._claims(token)
        user_id = _user_id(claims)
        scope = unpacked(claims.get("scope"))

        def read() -> Principal:
            found = store.get_user(user_id)
            if found is None or found[0].disabled_at:
                raise _unknown()
            user = found[0]
            return Principal(
                user.id,
                user.email,
                user.role,
                "token",
                memberships=memberships(user.id),
                scope=scope,
            )

        return await self._database.run(read)

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt  # noqa: PLC0415 - most hubs are shown no tokens

        for key in self._keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    options={"require": ["sub", "aud", "iat", "exp"]},
                )
            except jwt.PyJWTError:
                continue
            return claims
        raise _unknown()


def is_token(bearer: str) -> bool:
    """Return whether a bearer credential is made like a JWT; keys never are."""
    return bearer.startswith("eyJ") and bearer.count(".") == 2  # noqa: PLR2004 - header, claims, signature


def _user_id(claims: dict[str, Any]) -> int:
    kind, _, number = str(claims["sub"]).partition(":")
    lasts = timedelta(seconds=claims["exp"] - claims["iat"])
    began = datetime.fromtimestamp(claims["iat"], UTC)
    # A signature says who made it; that it is short-lived is checked here once more.
    if kind != "user" or not number.isdecimal() or lasts > MAX_LASTS or began > now() + MIN_LASTS:  # fmt: skip
        raise _unknown()
    return int(number)


def _unknown() -> UnknownTokenError:
    return UnknownTokenError(
        "This token is not known, or ran out.",
        hint="Make a new one with POST /api/tokens.",
    )
