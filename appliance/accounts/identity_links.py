"""Links between people here and whom providers mean; every function runs inside ``database.run``."""

from appliance.accounts import identity_store, session_store
from appliance.accounts.errors import IdentityNotFoundError
from appliance.accounts.model import Arrival, Identity, Principal, User
from appliance.accounts.persons import audit_user


def link(principal: Principal, user: User, arrival: Arrival) -> Identity:
    """Link somebody here with whom a provider means.

    Raises:
        IdentityTakenError: That is somebody else here.
    """
    made = identity_store.add(
        user.id,
        arrival.issuer,
        arrival.subject,
        email=arrival.email,
        created_by=principal.name,
    )
    details = {"provider": arrival.issuer, "subject": arrival.subject}
    audit_user(principal, "user.link_identity", user.id, user.email, details=details)
    return made


def one_of(user_id: int, identity_id: int) -> Identity:
    """Return one identity of a person.

    Raises:
        IdentityNotFoundError: They are linked with nobody of this number.
    """
    for item in identity_store.of_people([user_id]).get(user_id, ()):
        if item.id == identity_id:
            return item
    raise IdentityNotFoundError(f"There is no linked identity {identity_id}.")


def unlink(
    principal: Principal, user: User, identity: Identity, *, kept: int | None = None
) -> None:
    """Unlink somebody; sessions that the provider opened end, but the one to be kept."""
    session_store.revoke_opened_by(identity.id, but=kept)
    identity_store.remove(identity.id)
    details = {"provider": identity.issuer, "subject": identity.subject}
    audit_user(principal, "user.unlink_identity", user.id, user.email, details=details)
