"""With which token a remote server is called, for whom; and how the hub hears that one is wanted anew.

The hub alone gets tokens, renews and keeps them. Here they are read from files in memory at every call, so that what was
taken back is used no more.
"""

import asyncio
import time
from contextlib import closing

import psycopg2
import structlog

from appliance.core.challenges import Challenge, read_challenge
from appliance.core.upstreams import (
    CHANNEL,
    PAGE_TAIL,
    SHARED,
    TOKENS,
    Token,
    Wish,
    file_name,
)
from appliance.gateway.errors import SigninNeededError, TokenNotRenewedError
from appliance.gateway.routes import Route
from appliance.infra.connections import DatabaseUnavailableError, connect
from appliance.infra.memory_files import MemoryFiles

log = structlog.get_logger("gateway.signins")

#: The account under which the hub itself asks; it has a token only where everybody shares one.
HUB = "hub"
#: A token that ends within so many seconds is not used any more, and one that ends within so many is renewed meanwhile.
TOO_LATE_S = 5.0
SOON_S = 60.0
#: How long a call waits for the hub to renew its token, and how often it looks.
RENEWED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05
_PERSON = "user:"


class Signins:
    """The tokens of all accounts.

    Args:
        files: Where they lie.
        arguments: libpq keywords, to tell the hub.
        hub_url: Where people reach the hub.
    """

    def __init__(
        self, files: MemoryFiles, arguments: dict[str, str], hub_url: str
    ) -> None:
        """Read nothing yet."""
        self._files = files
        self._arguments = arguments
        self._hub_url = hub_url.rstrip("/")
        self._renewals: dict[tuple[str, int], asyncio.Task[Token]] = {}

    async def token(self, route: Route) -> Token | None:
        """Return what a call of ``route`` shows; ``None``: nothing, and the server shall say so itself.

        Raises:
            SigninNeededError: Its account has none.
            TokenNotRenewedError: Its token has ended, and there is no other just now.
        """
        token = self._read(route)
        if token is None:
            if route.account == HUB:
                return None
            raise self.needed(route)
        left_s = (token.expires_at or time.time() + SOON_S) - time.time()
        if left_s < TOO_LATE_S:
            return await self.renewed(route, token)
        if left_s < SOON_S and not token.attempts:
            _ = self._renewal(route, token)
        return token

    async def renewed(self, route: Route, refused: Token) -> Token:
        """Return the token that takes the place of one that is not good any more; all who wait for it ask once.

        Raises:
            SigninNeededError: There is none: the account's person must sign in again.
            TokenNotRenewedError: It cannot be had just now.
        """
        return await asyncio.shield(self._renewal(route, refused))

    def needed(self, route: Route, challenge: str = "") -> SigninNeededError:
        """Return what a client is told that has no account."""
        page = self.page(route)
        if route.account == SHARED:
            text = (
                f"{route.name} needs a sign-in, and the account that all share there is not connected."
                f" Whoever looks after it connects one at {page}."
            )
        elif route.account.startswith(_PERSON):
            text = f"{route.name} needs a sign-in: connect your account at {page} and call again."
        else:
            text = (
                f"{route.name} needs a sign-in of each person, and what was shown here is no person's: use a key or a"
                f" token of your own after connecting your account at {page}."
            )
        return SigninNeededError(text, page, challenge=challenge)

    async def lacking(
        self, route: Route, token: Token | None, challenge: Challenge
    ) -> SigninNeededError:
        """Return what a client is told whose account may not do this, and have the account's page say it, too."""
        scope = " ".join(challenge.scope)
        page = self.page(route)
        if token is not None:
            # Before the client hears of it, so that whoever connects again asks for it.
            await self._notify(
                Wish(route.server_id, route.account, token.serial, scope)
            )
        wants = f"the permission {scope}" if scope else "more permissions"
        return SigninNeededError(
            f"{route.name} wants {wants}: connect your account again at {page}.",
            page,
            scope=scope,
        )

    def page(self, route: Route) -> str:
        """Return where people connect their accounts."""
        return f"{self._hub_url}/servers/{route.name}{PAGE_TAIL}"

    async def close(self) -> None:
        """Let nobody wait any longer."""
        tasks = list(self._renewals.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _read(self, route: Route) -> Token | None:
        name = file_name(route.server_id, route.account)
        text = self._files.handed(TOKENS, name)
        return None if text is None else Token.from_json(text)

    def _renewal(self, route: Route, before: Token) -> "asyncio.Task[Token]":
        key = (file_name(route.server_id, route.account), before.serial)
        task = self._renewals.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(route, before))
            self._renewals[key] = task
            task.add_done_callback(lambda done: self._over(key, done))
        return task

    def _over(self, key: tuple[str, int], task: "asyncio.Task[Token]") -> None:
        self._renewals.pop(key, None)
        if not task.cancelled():
            task.exception()  # who waits is told; of one that is renewed early, nobody need be

    async def _renew(self, route: Route, before: Token) -> Token:
        wish = Wish(route.server_id, route.account, before.serial)
        attempts = before.attempts
        deadline = time.monotonic() + RENEWED_WITHIN_S
        told = False
        while time.monotonic() < deadline:
            token = self._read(route)
            if token is None:
                raise self.needed(route)
            if token.serial != before.serial:
                return token
            if not told:
                # Another one may have failed since; what counts is what comes of this.
                attempts, told = token.attempts, True
                await self._notify(wish)
            elif token.attempts > attempts:
                raise TokenNotRenewedError(
                    f"The sign-in at {route.name} could not be renewed: {token.problem}"
                )
            await asyncio.sleep(LOOK_EVERY_S)
        raise TokenNotRenewedError(
            f"The sign-in at {route.name} has ended, and the hub did not renew it in time."
        )

    async def _notify(self, wish: Wish) -> None:
        try:
            await asyncio.to_thread(self._send, wish)
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            reason = str(error).strip().partition("\n")[0]
            log.info("wish_not_told", server_id=wish.server_id, reason=reason)

    def _send(self, wish: Wish) -> None:
        with (
            closing(connect(self._arguments)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, wish.to_json()))


def scope_challenge(text: str) -> Challenge | None:
    """Return the challenge in a 403 that more permissions would open; ``None``: it is another refusal."""
    found = read_challenge(text)
    return found if found is not None and found.wants_scope else None
