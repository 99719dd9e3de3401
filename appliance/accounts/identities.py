"""People whom a provider of identities sends: let in, linked with who they are here, unlinked."""

from appliance.accounts import arriving, identity_store, store
from appliance.accounts.access import require_administer
from appliance.accounts.admission import Rules
from appliance.accounts.errors import NotAdmittedError, OnlyWayInError
from appliance.accounts.identity_links import link, one_of, unlink
from appliance.accounts.key_scopes import require_whole
from appliance.accounts.model import Arrival, Identity, Principal, SignedIn
from appliance.accounts.opening import open_session
from appliance.accounts.people import existing
from appliance.accounts.persons import person_of
from appliance.core.errors import InvalidError
from appliance.infra.database import Database

MAX_SUBJECT = 255


class IdentityService:
    """Who people are at providers.

    Args:
        rules: What the settings say of people whom the provider sends.
    """

    def __init__(self, database: Database, rules: Rules) -> None:
        """Keep the collaborators."""
        self._database = database
        self.rules = rules

    # -- coming in

    async def sign_in(
        self, arrival: Arrival, *, user_agent: str = "", id_token: bytes | None = None
    ) -> SignedIn:
        """Open a session for whom a provider sends; role and organisations become what their groups say now.

        Args:
            arrival: Who, proven.
            user_agent: As the browser calls itself.
            id_token: Sealed, if it is needed to sign out at the provider.

        Raises:
            NotAdmittedError: They are not let in; the text says why and what helps.
        """

        def write() -> SignedIn:
            # One at a time: whoever comes twice at once must not become two, and one administrator must be left.
            store.lock_registration()
            identity = arriving.identity_of(arrival, self.rules)
            user = existing(identity.user_id)
            if user.disabled_at:
                raise NotAdmittedError(
                    "Your account on this box is disabled.",
                    hint="Ask an administrator.",
                )
            user = arriving.as_grouped(user, arrival, self.rules)
            identity_store.note_use(identity.id, arrival.email)
            return open_session(user, user_agent, identity=identity, id_token=id_token)

        try:
            return await self._database.run(write)
        except NotAdmittedError as error:
            await self._database.run(arriving.note_refusal, arrival, error.detail)
            raise

    # -- links

    async def of(self, principal: Principal) -> tuple[Identity, ...]:
        """Return who the principal is at providers."""
        user_id = person_of(principal)

        def read() -> tuple[Identity, ...]:
            return identity_store.of_people([user_id]).get(user_id, ())

        return await self._database.run(read)

    async def link(self, principal: Principal, arrival: Arrival) -> Identity:
        """Link the principal with whom a provider sent, in the browser that they are signed in with.

        Raises:
            IdentityTakenError: That is somebody else here.
        """
        require_whole(principal, "link an identity")
        user_id = person_of(principal)

        def write() -> Identity:
            return link(principal, existing(user_id), arrival)

        return await self._database.run(write)

    async def link_person(
        self, principal: Principal, user_id: int, issuer: str, subject: str
    ) -> Identity:
        """Link somebody on an administrator's word.

        Raises:
            NotAllowedError: The principal is no administrator.
            InvalidError: The subject is none.
            UserNotFoundError: There is nobody of this number.
            IdentityTakenError: That is somebody else here.
        """
        require_administer(principal)
        subject = subject.strip()
        if not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
            raise InvalidError.field(
                "subject", "give the provider's own number or name for them (sub)"
            )

        meant = Arrival(issuer, subject, "", is_verified=False)

        def write() -> Identity:
            return link(principal, existing(user_id), meant)

        return await self._database.run(write)

    async def unlink(self, principal: Principal, identity_id: int) -> None:
        """Unlink the principal; sessions that the provider opened end.

        Raises:
            IdentityNotFoundError: They are linked with nobody of this number.
            OnlyWayInError: They have no password, and no other identity.
        """
        require_whole(principal, "unlink an identity")
        user_id = person_of(principal)

        def write() -> None:
            user = existing(user_id)
            found = one_of(user_id, identity_id)
            others = len(identity_store.of_people([user_id])[user_id]) - 1
            if not user.has_password and not others:
                raise OnlyWayInError(
                    "You have no password here, so this is the only way in.",
                    hint="Ask an administrator for a link to set a password first.",
                )
            kept = principal.credential_id if principal.via == "session" else None
            unlink(principal, user, found, kept=kept)

        await self._database.run(write)

    async def unlink_person(
        self, principal: Principal, user_id: int, identity_id: int
    ) -> None:
        """Unlink somebody, on an administrator's word; sessions that the provider opened end.

        Raises:
            NotAllowedError: The principal is no administrator.
            UserNotFoundError: There is nobody of this number.
            IdentityNotFoundError: They are linked with nobody of this number.
        """
        require_administer(principal)

        def write() -> None:
            user = existing(user_id)
            unlink(principal, user, one_of(user_id, identity_id))

        await self._database.run(write)
