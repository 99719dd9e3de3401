"""/api/keys: API keys for programs."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Self

from aiohttp import web
from pydantic import BaseModel, Field

from appliance.accounts.model import ApiKey, KeyLimits
from appliance.core.clock import now
from appliance.web.keys import ACCOUNTS
from appliance.web.parsing import Input
from appliance.web.requests import principal_of
from appliance.web.routes import Routes

routes = Routes("keys")


class KeyLimitsBody(Input):
    """How much a key may ask of the gateway."""

    calls_per_second: float | None = Field(
        None, description="null: as GW_KEY_CALLS_PER_SECOND says."
    )
    concurrency: int | None = Field(
        None, description="Calls at once. null: as GW_KEY_CONCURRENCY says."
    )

    def as_model(self) -> KeyLimits:
        """Return the limits as the accounts know them."""
        return KeyLimits(self.calls_per_second, self.concurrency)


class KeyLimitsAnswer(BaseModel):
    """How much a key may ask of the gateway."""

    calls_per_second: float | None
    concurrency: int | None


class NewKeyBody(Input):
    """A key to make."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.")
    expires_in_days: int | None = Field(
        None, ge=1, le=3650, description="Absent: until it is revoked."
    )
    limits: KeyLimitsBody = Field(default_factory=KeyLimitsBody)


class KeyAnswer(BaseModel):
    """An API key, without the key itself."""

    id: int
    name: str
    prefix: str = Field(
        description="Its first characters, so that a person recognises it."
    )
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    limits: KeyLimitsAnswer

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Return ``key`` as it is answered."""
        return cls.model_validate(key, from_attributes=True)


class NewKeyAnswer(KeyAnswer):
    """A new API key."""

    key: str = Field(description="Shown this once; stored hashed.")


class KeyList(BaseModel):
    """One's keys, newest first."""

    items: list[KeyAnswer]


@routes.get("/api/keys", summary="List one's API keys")
async def index(request: web.Request) -> KeyList:
    """Keys that were not revoked."""
    found = await request.app[ACCOUNTS].keys(principal_of(request))
    return KeyList(items=[KeyAnswer.of(key) for key in found])


@routes.post("/api/keys", summary="Make an API key", status=HTTPStatus.CREATED)
async def create(request: web.Request, *, body: NewKeyBody) -> NewKeyAnswer:
    """Make a key that does what its owner may do; the answer shows it, this once."""
    expires_at = (
        now() + timedelta(days=body.expires_in_days) if body.expires_in_days else None
    )
    made, key = await request.app[ACCOUNTS].create_key(
        principal_of(request),
        body.name,
        expires_at=expires_at,
        limits=body.limits.as_model(),
    )
    return NewKeyAnswer(**KeyAnswer.of(made).model_dump(), key=key)


@routes.put("/api/keys/{key_id:[0-9]{1,18}}/limits", summary="Limit an API key")
async def limit(request: web.Request, *, body: KeyLimitsBody) -> KeyAnswer:
    """Set how much a key may ask of the gateway; holds within two seconds."""
    changed = await request.app[ACCOUNTS].limit_key(
        principal_of(request),
        int(request.match_info["key_id"]),
        body.as_model(),
    )
    return KeyAnswer.of(changed)


@routes.delete(
    "/api/keys/{key_id:[0-9]{1,18}}",
    summary="Revoke an API key",
    status=HTTPStatus.NO_CONTENT,
)
async def revoke(request: web.Request) -> None:
    """Stop a key from working, at once and for good."""
    await request.app[ACCOUNTS].revoke_key(
        principal_of(request), int(request.match_info["key_id"])
    )
