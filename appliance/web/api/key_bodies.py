"""What callers say about API keys, and how keys look, in JSON."""

from datetime import datetime
from typing import Self

from pydantic import Field

from appliance.accounts.key_scopes import MAX_SERVERS
from appliance.accounts.model import Action, ApiKey, KeyLimits, MemberRole, Scope
from appliance.web.api.answer import Answer
from appliance.web.key_scopes import KeyRole
from appliance.web.parsing import Input

SERVERS = "Names or numbers of servers; the key then is good for these and nothing besides. Absent: everything."


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


class NarrowingBody(Input):
    """What a key or a token is narrowed to; it never gives what its holder may not do."""

    role: KeyRole = Field(
        KeyRole.ADMIN,
        description="`admin`: whatever its holder may do. `reader`: see, and nothing else.",
    )
    actions: list[Action] | None = Field(
        None,
        description="The only actions that it is good for. Absent: as the role says.",
        examples=[["see", "call"]],
    )
    servers: list[str] | None = Field(
        None, max_length=MAX_SERVERS, description=SERVERS, examples=[["time"]]
    )


class NewKeyBody(NarrowingBody):
    """A key to make."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.")
    expires_in_days: int | None = Field(
        None, ge=1, le=3650, description="Absent: until it is revoked."
    )
    limits: KeyLimitsBody = Field(default_factory=KeyLimitsBody)
    org: str | None = Field(
        None,
        max_length=63,
        description="Name or id of the organisation that the key acts for: it then belongs to nobody, and stays when whoever "
        "made it leaves. For its maintainers and owners. Absent: it acts as whoever makes it.",
    )
    org_role: MemberRole | None = Field(
        None,
        description="What the key is in the organisation, at most what its maker is; absent: `deployer`.",
    )


class RotationBody(Input):
    """How a key is replaced."""

    overlap_hours: float = Field(
        24, ge=0, le=720, description="How long the old key works on."
    )


class KeyQuery(Input):
    """Whose keys."""

    org: str = Field(
        "", max_length=63, description="Of this organisation. Absent: one's own."
    )


class KeyLimitsAnswer(Answer):
    """How much a key may ask of the gateway."""

    calls_per_second: float | None
    concurrency: int | None


class ScopeAnswer(Answer):
    """What a key is narrowed to."""

    actions: list[Action] | None = Field(description="null: every action.")
    servers: list[int] | None = Field(description="null: everything.")

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return ``scope`` as it is answered."""
        return cls(
            actions=None if scope.actions is None else sorted(scope.actions),
            servers=None if scope.servers is None else sorted(scope.servers),
        )


class KeyAnswer(Answer):
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
    org_id: int | None = Field(
        description="The organisation that it acts for; null: its maker."
    )
    org_role: MemberRole | None
    scope: ScopeAnswer | None = Field(description="null: it is not narrowed.")
    replaced_by: int | None = Field(
        description="The key that took its place; it works until `expires_at`."
    )

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Return ``key`` as it is answered."""
        return cls(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            created_at=key.created_at,
            last_used_at=key.last_used_at,
            expires_at=key.expires_at,
            limits=KeyLimitsAnswer(
                calls_per_second=key.limits.calls_per_second,
                concurrency=key.limits.concurrency,
            ),
            org_id=key.org_id,
            org_role=key.org_role,
            scope=ScopeAnswer.of(key.scope) if key.scope else None,
            replaced_by=key.replaced_by,
        )


class NewKeyAnswer(KeyAnswer):
    """A new API key."""

    key: str = Field(description="Shown this once; stored hashed.")


class KeyList(Answer):
    """Keys that were not revoked, newest first."""

    items: list[KeyAnswer]
