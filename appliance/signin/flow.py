"""The way to a provider and back: one browser, once, within ten minutes."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog

from appliance.accounts import attempt_store, attempts
from appliance.accounts.arriving import note_refusal
from appliance.accounts.identities import IdentityService
from appliance.accounts.model import Arrival, Identity, Principal, SignedIn
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer, UnsealError
from appliance.oauth.pkce import challenge_of
from appliance.signin import store
from appliance.signin.arrivals import arrival_of, is_whole
from appliance.signin.errors import SignInFailedError, TokenError
from appliance.signin.model import Attempt, Departure
from appliance.signin.provider import Provider, printable

log = structlog.get_logger("signin")

LASTS: Final = timedelta(minutes=10)
_LONGEST: Final = 4096
_AGAIN: Final = "Begin again on the sign-in page."


@dataclass(frozen=True)
class Returned:
    """Somebody came back."""

    #: Where they wanted to go.
    wanted: str
    #: ``None``: they linked somebody with whom they are signed in as.
    signed_in: SignedIn | None = None
    linked: Identity | None = None


@dataclass(frozen=True)
class Answer:
    """What a browser brings back from the provider."""

    query: Mapping[str, str]
    #: What it kept.
    browser: str
    #: Who is signed in with it already.
    principal: Principal | None = None
    address: str = ""
    user_agent: str = ""


class Flow:
    """Sends browsers to a provider and takes them back.

    Args:
        identities: Lets in whom the provider sends.
        keeps_tokens: Whether sessions keep what is needed to sign out at the provider.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        provider: Provider,
        identities: IdentityService,
        *,
        keeps_tokens: bool,
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._sealer = sealer
        self._provider = provider
        self._identities = identities
        self._keeps_tokens = keeps_tokens

    async def begin(
        self, redirect_uri: str, wanted: str, *, links: Principal | None = None
    ) -> Departure:
        """Return where a browser goes, and what it keeps meanwhile.

        Args:
            redirect_uri: Where it comes back to.
            wanted: Where the person goes then.
            links: Who shall be linked with whom the provider sends; ``None``: somebody signs in.

        Raises:
            ProviderAwayError: The provider does not answer.
        """
        metadata = await self._provider.metadata()
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        attempt = Attempt(
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            redirect_uri=redirect_uri,
            wanted=wanted,
            links_session=links.credential_id if links else None,
        )
        hashed = key_hash(state)
        sealed = self._sealer.seal(
            json.dumps(asdict(attempt)).encode(), _purpose(hashed)
        )
        await self._database.run(
            lambda: store.add(hashed, key_hash(browser), sealed, lasts=LASTS)
        )
        client = self._provider.client
        asked = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": redirect_uri,
            "scope": client.scopes,
            "state": state,
            "nonce": attempt.nonce,
            "code_challenge": challenge_of(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return Departure(_with(metadata.authorization_endpoint, asked), state, browser)

    async def finish(self, answer: Answer) -> Returned:
        """Sign in, or link, whom the provider sends.

        Raises:
            SignInFailedError: The answer is not for this browser, was used, or is not to be believed.
            NotAdmittedError: They are not let in.
            IdentityTakenError: Whom they want to link with is somebody else.
            ProviderAwayError: The provider does not answer.
            TooManyAttemptsError: Too many tries failed from this address.
        """
        # Counted apart from passwords: a provider that is away must not shut their door.
        subject = f"provider:{answer.address}"
        tried = await self._database.run(attempts.begin, subject)
        attempt = await self._attempt(answer)
        self._check_linking(attempt, answer)
        await self._check_answer(answer.query)
        arrival, id_token = await self._arrival(answer.query["code"], attempt)
        await self._database.run(attempt_store.forget, tried.ids)
        if attempt.links_session is not None and answer.principal is not None:
            linked = await self._identities.link(answer.principal, arrival)
            return Returned(attempt.wanted, linked=linked)
        sealed = (
            self._sealer.seal(id_token.encode(), ID_TOKEN)
            if self._keeps_tokens
            else None
        )
        signed_in = await self._identities.sign_in(
            arrival, user_agent=answer.user_agent, id_token=sealed
        )
        return Returned(attempt.wanted, signed_in=signed_in)

    async def farewell(self, sealed: bytes | None, back: str) -> str:
        """Return where a browser signs out at the provider; empty: nowhere.

        Args:
            sealed: What the session kept of its beginning.
            back: Where the provider sends the browser then.
        """
        if sealed is None:
            return ""
        endpoint = (await self._provider.metadata()).end_session_endpoint
        if not endpoint:
            return ""
        asked = {
            "client_id": self._provider.client.client_id,
            "post_logout_redirect_uri": back,
        }
        try:
            asked["id_token_hint"] = self._sealer.unseal(sealed, ID_TOKEN).decode()
        except UnsealError:
            log.info("signin.hint_not_read")  # the provider asks the person, then
        return _with(endpoint, asked)

    async def _attempt(self, answer: Answer) -> Attempt:
        """Return the one that this browser left with; it counts once."""
        state = answer.query.get("state", "")[:_LONGEST]
        hashed = key_hash(state)
        sealed = await self._database.run(store.take, hashed, key_hash(answer.browser))
        if sealed is None or not answer.browser:
            raise SignInFailedError(
                "This answer of the provider belongs to no sign-in of this browser, was used, or came too late.",
                hint=_AGAIN,
            )
        try:
            return Attempt(**json.loads(self._sealer.unseal(sealed, _purpose(hashed))))
        except UnsealError as error:
            raise SignInFailedError("This took too long.", hint=_AGAIN) from error

    def _check_linking(self, attempt: Attempt, answer: Answer) -> None:
        if attempt.links_session is None:
            return
        principal = answer.principal
        is_same = principal is not None and (
            principal.via == "session"
            and principal.credential_id == attempt.links_session
        )
        if not is_same:
            raise SignInFailedError(
                "You were signed out meanwhile, so nothing was linked.",
                hint="Sign in, and link again on your profile.",
            )

    async def _check_answer(self, query: Mapping[str, str]) -> None:
        """Look at whose answer it is, before anything in it is used (RFC 9207)."""
        metadata = await self._provider.metadata()
        issuer = query.get("iss")
        if issuer != metadata.issuer and (issuer is not None or metadata.names_itself):
            raise SignInFailedError(
                "The answer is of another provider than the one that was asked.",
                hint=_AGAIN,
            )
        if "error" in query:
            why = printable(query.get("error_description")) or printable(query["error"])
            raise SignInFailedError(
                f"{self._identities.rules.name} says: {why}", hint=_AGAIN
            )
        if not 0 < len(query.get("code", "")) <= _LONGEST:
            raise SignInFailedError("The provider's answer has no code.", hint=_AGAIN)

    async def _arrival(self, code: str, attempt: Attempt) -> tuple[Arrival, str]:
        tokens = await self._provider.redeem(code, attempt)
        client = self._provider.client
        try:
            claims = await self._provider.claims(tokens, attempt.nonce)
            told = {} if is_whole(claims, client) else await self._provider.told(tokens.access_token)  # fmt: skip
            return arrival_of(claims, told, client), tokens.id_token
        except TokenError as error:
            log.warning("signin.token_refused", issuer=client.issuer, why=str(error))
            nobody = Arrival(client.issuer, "", "", is_verified=False)
            await self._database.run(note_refusal, nobody, f"ID token: {error}")
            raise SignInFailedError(
                f"What {self._identities.rules.name} says cannot be believed: {error}.",
                hint="Try again; if it stays so, tell an administrator.",
            ) from error


#: What a session keeps of the token that it began with is sealed for this.
ID_TOKEN: Final = "id token of a session"  # noqa: S105 - a purpose


def _purpose(state_hash: bytes) -> str:
    return f"sign-in attempt:{state_hash.hex()}"


def _with(url: str, query: Mapping[str, str]) -> str:
    sign = "&" if urlsplit(url).query else "?"
    return f"{url}{sign}{urlencode(query)}"
