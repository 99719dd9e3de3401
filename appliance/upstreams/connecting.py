"""A person's way to an authorization server and back, and what becomes of it."""

import asyncio
import secrets
from collections.abc import Mapping
from datetime import timedelta

from appliance.accounts.model import Principal
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.observability import audit
from appliance.upstreams import store
from appliance.upstreams.asking import (
    authorization_url,
    code_form,
    code_in,
    scopes_for,
    token_request,
    tokens_in,
    verifier_of,
)
from appliance.upstreams.clients import Clients
from appliance.upstreams.discovering import check_endpoints, discover
from appliance.upstreams.errors import (
    SigninExpiredError,
    SigninRefusedError,
    TokenRefusedError,
)
from appliance.upstreams.fetching import Asker
from appliance.upstreams.keeping import TokenKeeper, ends_at
from appliance.upstreams.model import (
    ClientKind,
    Connection,
    Place,
    ServerFacts,
    Tokens,
    UpstreamServer,
)
from appliance.upstreams.plans import Plan

#: So long a person may take.
LASTS = timedelta(minutes=15)
_SESSION = "session"


class Connecting:
    """Begins sign-ins, and ends them.

    Args:
        secret: By which verifiers are made of states; nobody else has it.
        may_be_plain: Whether the other side may do without TLS.
    """

    def __init__(
        self,
        database: Database,
        asker: Asker,
        clients: Clients,
        tokens: TokenKeeper,
        *,
        secret: bytes,
        may_be_plain: bool,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._asker = asker
        self._clients = clients
        self._tokens = tokens
        self._secret = secret
        self._may_be_plain = may_be_plain

    async def begin(
        self,
        principal: Principal,
        server: ServerFacts,
        upstream: UpstreamServer,
        place: Place,
        *,
        user_id: int | None,
    ) -> str:
        """Return where the person has to go.

        Args:
            principal: Who signs in.
            server: Where to.
            upstream: What is known of its sign-in.
            place: Where they come back to.
            user_id: Whose account it becomes; ``None``: everybody's.

        Raises:
            DiscoveryError: The server does not say how to sign in, or not rightly.
            NoClientError: There is no way to become a client there.
            UpstreamAwayError: Somebody does not answer, or may not be asked.
        """
        offer = await discover(self._asker, server.address, upstream.challenge)
        check_endpoints(offer.server, may_be_plain=self._may_be_plain)
        client = await self._clients.client(upstream, offer.server, place)
        before = await self._database.run(store.connection_of, server.id, user_id)
        had = before.scopes if before and before.issuer == offer.server.issuer else ()
        wanted = before.wanted_scopes if before else ()
        plan = Plan(place, offer, client, scopes_for(offer, had=had, wanted=wanted))
        state = secrets.token_urlsafe(32)

        def write() -> None:
            store.begin_signin(
                key_hash(state),
                server_id=server.id,
                user_id=user_id,
                began_by=principal.user_id or 0,
                session_id=_session_of(principal),
                plan=plan.as_dict(),
                keep=LASTS,
            )

        await self._database.run(write)
        return authorization_url(
            offer,
            client,
            place,
            state=state,
            verifier=verifier_of(self._secret, state),
            scopes=plan.scopes,
        )

    async def finish(
        self, principal: Principal, answer: Mapping[str, str]
    ) -> Connection:
        """Make a connection of what a person came back with.

        Raises:
            SigninExpiredError: They began no such sign-in, in this browser, in the last minutes.
            SigninRefusedError: The other side said no, or was another one.
            UpstreamAwayError: It does not answer.
        """
        state = answer.get("state", "")
        row = await self._database.run(store.take_signin, key_hash(state))
        is_theirs = row is not None and row.began_by == principal.user_id
        if row is None or not is_theirs or not _is_same_browser(row.session_id, principal):  # fmt: skip
            raise SigninExpiredError(
                "This sign-in was not begun here, or is over already.",
                hint="Begin it again on the server's page Account.",
            )
        plan = Plan.from_dict(row.plan)
        code = code_in(answer, plan.offer.server)
        tokens = await self._exchange(row.server_id, plan, code, state)
        made = await self._database.run(
            self._keep, principal, row.server_id, row.user_id, plan, tokens
        )
        await asyncio.to_thread(self._tokens.hand_over, made, tokens.access)
        return made

    async def _exchange(
        self, server_id: int, plan: Plan, code: str, state: str
    ) -> Tokens:
        server = plan.offer.server
        client = await self._database.run(
            self._clients.with_secret, server_id, server.issuer, plan.client
        )
        form, headers = token_request(
            client,
            code_form(
                code,
                verifier=verifier_of(self._secret, state),
                redirect_uri=plan.place.redirect_uri,
                resource=plan.offer.resource.resource,
            ),
        )
        answer = await self._asker.submit(server.token_endpoint, form, headers)
        try:
            return tokens_in(answer.status, answer.content)
        except TokenRefusedError as error:
            if error.error == "invalid_client" and client.kind is ClientKind.REGISTERED:
                # It has forgotten us: the next sign-in registers anew.
                await self._clients.forget(
                    server_id, server.issuer, plan.place.redirect_uri
                )
            raise SigninRefusedError(error.detail) from error

    def _keep(  # noqa: PLR0917 - one transaction
        self,
        principal: Principal,
        server_id: int,
        user_id: int | None,
        plan: Plan,
        tokens: Tokens,
    ) -> Connection:
        scopes = plan.scopes if tokens.scopes is None else tokens.scopes
        made = store.put_connection(
            server_id,
            user_id,
            connected_by=principal.name,
            issuer=plan.offer.server.issuer,
            scopes=" ".join(scopes),
            terms=plan.terms(),
            expires_at=ends_at(tokens),
        )
        self._tokens.seal(made, made.serial, tokens)
        audit.record(
            principal,
            "connection.create",
            object_type="server",
            object_id=server_id,
            object_name=made.server_name,
            details={
                "issuer": made.issuer,
                "scopes": made.scopes,
                "shared": user_id is None,
            },
        )
        return made


def _session_of(principal: Principal) -> int | None:
    return principal.credential_id if principal.via == _SESSION else None


def _is_same_browser(session_id: int | None, principal: Principal) -> bool:
    """Return whether the one who comes back is where the sign-in began: in that browser, or with a key of the same person."""
    return session_id is None or session_id == _session_of(principal)
