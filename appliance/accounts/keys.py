"""API keys: made, narrowed, given a successor, revoked, and recognised."""

from dataclasses import replace
from datetime import timedelta

from appliance.accounts import key_limits, key_store
from appliance.accounts.access import Kind, Thing, new_of, require
from appliance.accounts.errors import (
    KeyNotFoundError,
    NotAllowedError,
    UnknownKeyError,
)
from appliance.accounts.key_making import (
    MadeKey,
    checked,
    make,
    require_not_replaced,
    successor,
)
from appliance.accounts.key_scopes import require_rank, require_whole
from appliance.accounts.key_trail import audit
from appliance.accounts.model import (
    Action,
    ApiKey,
    KeyLimits,
    MemberRole,
    NewKey,
    Principal,
    Role,
    User,
)
from appliance.accounts.orgs import store as orgs
from appliance.accounts.orgs.model import Org
from appliance.accounts.persons import person_of
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import key_hash
from appliance.infra.database import Database

#: Uses closer together than this are noted once, so that reading a page is not a write.
NOTED_EVERY = timedelta(minutes=5)
#: How long a key works after another one took its place.
OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)


class KeyService:
    """API keys on behalf of a principal: their own, and those of organisations in which they may change things.

    Whoever may not know of a key gets ``KeyNotFoundError``; what a person's own keys are is nobody else's business. What
    came narrowed makes and changes no keys.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    async def create(self, principal: Principal, wanted: NewKey) -> MadeKey:
        """Make a key.

        Raises:
            InvalidError: The name is empty or too long, the key would have run out already, a limit is not above zero, or
                there is a role without an organisation, or no such organisation that the principal may know of.
            NotAllowedError: They make no keys there, or none that are so much.
        """
        wanted = checked(wanted)
        require_whole(principal, "make keys")

        def write() -> MadeKey:
            if wanted.org is None:
                made = make(wanted, person_of(principal), None)
            else:
                org = _org(principal, Action.CREATE, wanted.org)
                role = wanted.org_role or MemberRole.DEPLOYER
                require_rank(principal, org.id, role)
                made = make(replace(wanted, org_role=role), None, org.id)
            audit(principal, "key.create", after=made.key)
            return made

        return await self._database.run(write)

    async def list(
        self, principal: Principal, org: int | str | None = None
    ) -> list[ApiKey]:
        """Return keys that were not revoked, newest first: the principal's own, or an organisation's.

        Raises:
            InvalidError: They may know of no such organisation.
        """

        def read() -> list[ApiKey]:
            if org is None:
                return key_store.of_person(person_of(principal))
            return key_store.of_org(_org(principal, Action.SEE, org).id)

        return await self._database.run(read)

    async def limit(
        self, principal: Principal, key_id: int, limits: KeyLimits
    ) -> ApiKey:
        """Set how much a key may ask of the gateway, and return it.

        Raises:
            InvalidError: A limit is not above zero.
            KeyNotFoundError: They have none of this number.
        """
        key_limits.check(limits)

        def write() -> ApiKey:
            found = _mine(principal, Action.CHANGE, key_id)
            changed = key_store.limit(key_id, limits)
            audit(principal, "key.limit", before=found, after=changed)
            return changed

        return await self._database.run(write)

    async def rotate(
        self, principal: Principal, key_id: int, *, overlap: timedelta = OVERLAP
    ) -> MadeKey:
        """Make a key that may do the same for as long as this one once could; this one works until the overlap's end.

        Raises:
            InvalidError: The overlap is negative or above 30 days.
            KeyNotFoundError: They have none of this number.
            KeyReplacedError: Another key took its place already.
        """
        if not timedelta() <= overlap <= MAX_OVERLAP:
            raise InvalidError.field("overlap_hours", "give 0 to 720 hours")

        def write() -> MadeKey:
            old = _mine(principal, Action.CHANGE, key_id)
            if old.org_id is not None and old.org_role is not None:
                require_rank(principal, old.org_id, old.org_role)
            require_not_replaced(old)
            made = make(successor(old), old.user_id, old.org_id)
            ends = now() + overlap
            ends = min(ends, old.expires_at or ends)
            replaced = key_store.replace(old.id, made.key.id, ends=ends)
            audit(principal, "key.rotate", before=old, after=replaced)
            return made

        return await self._database.run(write)

    async def revoke(self, principal: Principal, key_id: int) -> None:
        """Revoke a key; it stops working at once.

        Raises:
            KeyNotFoundError: They have none of this number.
        """

        def write() -> None:
            found = _mine(principal, Action.DELETE, key_id)
            key_store.revoke(key_id)
            audit(principal, "key.revoke", before=found)

        await self._database.run(write)

    async def authenticate(self, key: str) -> Principal:
        """Return who the bearer key stands for.

        Raises:
            UnknownKeyError: It is not one of ours, was revoked, or ran out.
        """

        def read() -> Principal:
            found = key_store.find(key_hash(key))
            if found is None:
                raise UnknownKeyError(
                    "This API key is not known, was revoked, or ran out.",
                    hint="Make a new one on the page Settings, API keys.",
                )
            key_store.touch(found[0].id, unless_since=NOTED_EVERY)
            return _principal(*found)

        return await self._database.run(read)


def _mine(principal: Principal, action: Action, key_id: int) -> ApiKey:
    found = key_store.get(key_id)
    hidden = KeyNotFoundError(f"You have no key {key_id}.")
    if found is None:
        raise hidden
    if found.org_id is not None:
        thing = Thing(Kind.KEY, found.id, org_id=found.org_id)
        require(principal, action, thing, hidden)
    elif principal.user_id is None or found.user_id != principal.user_id:
        raise hidden
    require_whole(principal, "change keys")
    return found


def _org(principal: Principal, action: Action, org: int | str) -> Org:
    hidden = InvalidError.field("org", f"there is no organisation {org}")
    found = orgs.find(org)
    if found is None:
        raise hidden
    if principal.org_id is not None and action is not Action.SEE:
        raise NotAllowedError(
            "A service key makes no other keys.",
            hint="A maintainer of the organisation makes them.",
        )
    require(principal, action, new_of(principal, Kind.KEY, found.id), hidden)
    return found


def _principal(key: ApiKey, user: User | None) -> Principal:
    if user is not None:
        memberships = orgs.memberships(user.id)
        return Principal(
            user.id,
            user.email,
            user.role,
            "api_key",
            key.id,
            memberships=memberships,
            scope=key.scope,
        )
    org_id, role = key.org_id, key.org_role
    if org_id is None or role is None:
        raise UnknownKeyError("This API key belongs to nobody.")
    return Principal(
        None,
        f"key:{orgs.get(org_id).name}/{key.name}",
        Role.MEMBER,
        "api_key",
        key.id,
        memberships={org_id: role},
        org_id=org_id,
        scope=key.scope,
    )
